"""What a shop is run on."""
