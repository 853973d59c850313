"""What keeps a shop from being moved."""


class CannotMigrate(Exception):
    """A text for people: what is in the way, and what to do about it."""
