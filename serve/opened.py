"""What a process opened: closed in reverse order, whatever fails on the way."""

from contextlib import AsyncExitStack
from typing import Protocol, TypeVar


class Closes(Protocol):
    async def close(self) -> None: ...


class Runs(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


Closing = TypeVar("Closing", bound=Closes)


class Opened(AsyncExitStack):
    """An exit stack; an error of one that closes is raised once all have closed.

    A start fills one inside `async with` and keeps its `pop_all()`: one that fails half-way leaves nothing open.
    """

    def closing(self, thing: Closing) -> Closing:
        """Closed by this stack."""
        self.push_async_callback(thing.close)
        return thing

    async def running(self, thing: Runs) -> None:
        """Started, and stopped by this stack. Raises what its start raises; what then runs is its own to stop."""
        await thing.start()
        self.push_async_callback(thing.stop)
