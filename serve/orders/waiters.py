"""How many callers may wait for something at once; the next one is answered without waiting."""

from collections.abc import Iterator
from contextlib import contextmanager


class Waiters:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting = 0

    @contextmanager
    def place(self, wanted: bool = True) -> Iterator[bool]:
        """Whether there is a place; it is given back at the end, however that comes."""
        if not wanted or self.waiting >= self.limit:
            yield False
            return
        self.waiting += 1
        try:
            yield True
        finally:
            self.waiting -= 1
