"""What services that are tables tell the others. Events carry ids, and nothing of a person that could be erased."""
