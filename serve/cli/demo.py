"""Loads the demo shop into a running one."""

from rich.console import Console

from serve.settings import Settings


def load(settings: Settings, console: Console) -> None:
    """Does nothing when it was loaded before, or when the catalogue has products of its own."""
    console.print("The demo shop is not written yet")
