"""What waits is dealt with together: for work of which a hundred pieces at once cost little more than one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_LOOKED_UP = 200


class Gathering(Generic[Item, Result]):
    """Gives `deal` what came while it was busy, at most `most` at once.

    `deal` answers for each its result or its error; if it fails itself, everything that it was given failed.
    """

    def __init__(self, deal: Callable[[list[Item]], Awaitable[list[Result | Exception]]], most: int) -> None:
        self._deal = deal
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """The item's result, once it was dealt with. A caller who goes away changes nothing for the others; what they
        wanted is not done if it was not begun."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await result

    async def close(self) -> None:
        """Waits for what was added."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                batch = [(item, result) for item, result in batch if not result.done()]
                if not batch:
                    continue
                outcomes: list[Result | Exception]
                try:
                    outcomes = await self._deal([item for item, _ in batch])
                except Exception as error:
                    outcomes = [error] * len(batch)
                for (_, result), outcome in zip(batch, outcomes, strict=True):
                    if result.done():  # its caller went away
                        continue
                    if isinstance(outcome, Exception):
                        result.set_exception(outcome)
                    else:
                        result.set_result(outcome)
        finally:
            self._running = None


def looked_up(find: Callable[[list[Item]], Awaitable[Mapping[Item, Result]]]) -> Gathering[Item, Result | None]:
    """For what each of many asks for by a key: what is asked meanwhile is found together. None: it was not found."""

    async def deal(keys: list[Item]) -> list[Result | Exception | None]:
        found = await find(keys)
        return [found.get(key) for key in keys]

    return Gathering(deal, MOST_LOOKED_UP)
