"""A read model that is made anew, in a database of its own in a folder that is thrown away."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import create_engine

from pipelines.log.history import History
from pipelines.wanted import Types
from serve.rebuilding.models import Event, ReadModel

AT_ONCE = 2_000

Tell = Callable[[int, int], None]
"""Hears how many places of the log are read, and of how many."""


class Beside:
    """The read model as of the events that were read. `partial`: keys whose history has no beginning in the log."""

    def __init__(self, model: ReadModel, history: History, folder: Path) -> None:
        url = f"sqlite:///{folder / model.name}.db"
        self._model = model
        self._history = history
        self._types = Types(model.reads)
        self._filling = model.fill(url)
        self._reached: dict[str, int] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self.engine = create_engine(url, hide_parameters=True)
        self.events = 0
        self.unreadable: list[str] = []
        self.partial: set[str] = set()

    async def close(self) -> None:
        await self._filling.store.close()
        await asyncio.to_thread(self.engine.dispose)

    async def read_on(self, tell: Tell = lambda done, of: None) -> None:
        """Up to where the log ends now. Raises what the log or the store raises."""
        ends = await self._history.ends()
        whole = sum(ends.values())
        for place, end in ends.items():
            while self._reached.get(place, 0) < end:
                tell(sum(self._reached.values()), whole)
                await self._read(place, end)
        tell(whole, whole)

    async def _read(self, place: str, end: int) -> None:
        piece = await self._history.read(place, self._reached.get(place, 0), end, AT_ONCE)
        wanted: list[Event] = []
        for happened in piece.events:
            event = self._types.decode(happened)
            if isinstance(event, Exception):
                self.unreadable.append(happened.id)
            elif event is not None:
                wanted.append((happened, event))
        await self._filling.write(wanted)
        for happened, event in wanted:
            key = self._model.key(happened, event)
            if key not in self._told and self._model.begins and not isinstance(event, self._model.begins):
                self.partial.add(key)
            self._told[key] = (place, happened.position)
        self.events += len(wanted)
        self._reached[place] = max(piece.reached, self._reached.get(place, 0))

    def told_since(self, key: str, standing: Mapping[str, int]) -> bool:
        """Whether the log tells of a key behind a flow's positions, by the names of its progress."""
        if key not in self._told:
            return False
        place, position = self._told[key]
        return position > standing.get(self._history.progress(self._model.name, place), 0)
