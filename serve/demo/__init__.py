"""The demo shop: Fieldfare, things for house and garden."""
