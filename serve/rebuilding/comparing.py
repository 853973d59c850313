"""What a read model has otherwise than the one that was made anew, also while its flow goes on writing.

The two are never of one moment: rows are read, then the log once more to its end. So a key that differs is told of
only if the log says nothing of it behind where the flow stood before; all others are looked at again until it is so.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Engine

from serve.measures import Standings
from serve.rebuilding.beside import Beside
from serve.rebuilding.models import ReadModel
from serve.rebuilding.rows import AT_ONCE, Digests, Found, by_key, checksum, digests, lasting, rows_of

LOOK_SECONDS = 0.5

What = Literal["missing", "different", "unknown", "newer", "partial"]
MENDABLE: tuple[What, ...] = ("missing", "different")


class Difference(NamedTuple):
    """`what`: missing, different: the log tells the key whole. unknown: the log tells nothing of it, or not of all its
    rows. newer: of a later version than the log tells. partial: the log does not have the key's beginning."""

    key: str
    what: What


class Comparison:
    """Of a read model and the one beside it."""

    def __init__(self, model: ReadModel, live: Engine, beside: Beside, progress: Standings) -> None:
        self._model = model
        self._live = live
        self._beside = beside
        self._progress = progress
        self.there: Digests = {}
        self.made: Digests = {}
        self.moving: frozenset[str] = frozenset()

    async def settle(self, keys: Collection[str] | None, seconds: float) -> None:
        """Compares some keys, or all, until none is under way; what is so after `seconds` is `moving`."""
        until = time.monotonic() + seconds
        suspects = keys
        while True:
            standing = {one.flow: one.position for one in await self._progress.standings()}
            there = await asyncio.to_thread(digests, self._model, self._live, self._live, suspects)
            await self._beside.read_on()
            made = await asyncio.to_thread(digests, self._model, self._beside.engine, self._live, suspects)
            self._take(suspects, there, made)
            differing = [key for key in {*there, *made} if there.get(key) != made.get(key)]
            moving = frozenset(key for key in differing if self._beside.told_since(key, standing))
            others = self.moving.difference(suspects) if suspects is not None else frozenset()
            self.moving = moving | others
            if not moving or time.monotonic() >= until:
                return
            suspects = differing
            await asyncio.sleep(LOOK_SECONDS)

    def _take(self, keys: Collection[str] | None, there: Digests, made: Digests) -> None:
        for known, found in ((self.there, there), (self.made, made)):
            if keys is None:
                known.clear()
            else:
                for key in keys:
                    known.pop(key, None)
            known.update(found)

    @property
    def checksums(self) -> tuple[str, str]:
        """Of what is there, and of what was made anew."""
        return checksum(self.there), checksum(self.made)

    async def differences(self) -> list[Difference]:
        """By key; without those that are under way."""
        keys = sorted(
            key
            for key in {*self.there, *self.made}
            if self.there.get(key) != self.made.get(key) and key not in self.moving
        )
        return await asyncio.to_thread(self._differences, keys)

    def _differences(self, keys: Sequence[str]) -> list[Difference]:
        found: dict[str, What] = {}
        both = []
        for key in keys:
            if key not in self.made:
                found[key] = "unknown"
            elif key in self._beside.partial:
                found[key] = "partial"
            elif key not in self.there:
                found[key] = "missing"
            else:
                both.append(key)
        for at in range(0, len(both), AT_ONCE):
            found.update(self._looked_at(both[at : at + AT_ONCE]))
        return [Difference(key, found[key]) for key in keys]

    def _looked_at(self, keys: Sequence[str]) -> dict[str, What]:
        with self._live.execution_options(writes=False).connect() as live, self._beside.engine.connect() as beside:
            made = by_key(lasting(self._model, live, rows_of(self._model, beside, keys), locked=False))
            there = by_key(rows_of(self._model, live, keys))
        return {key: self._kind(there.get(key, []), made.get(key, [])) for key in keys}

    def _kind(self, there: Sequence[Found], made: Sequence[Found]) -> What:
        version = self._model.version
        if version is not None and _newest(there, version) > _newest(made, version):
            return "newer"
        return "unknown" if {one.identity for one in there} - {one.identity for one in made} else "different"


def _newest(found: Sequence[Found], version: str) -> int:
    return max((int(one.row[version]) for one in found if version in one.row), default=0)
