"""How far flows have come, written down: for all flows of a process together, since each commit waits for the disk.

Over Kafka a process has dozens of flows, one for each partition, and each says once a second how far it is.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from pipelines.gathering import Gathering
from pipelines.progress_tables import INBOX, POSITIONS
from pipelines.sql.retrying import retried
from pipelines.sql.words import Said

MOST_AT_ONCE = 500
SAVE_SECONDS = 1.0

_MOVE = Said(
    "INSERT INTO positions (flow, position) VALUES (?, ?) "
    "ON CONFLICT (flow) DO UPDATE SET position = MAX(position, excluded.position)",
    "INSERT INTO positions (flow, position) VALUES (%s, %s) "
    "ON DUPLICATE KEY UPDATE position = GREATEST(position, VALUES(position))",
)


class Place(NamedTuple):
    """A flow is done with everything up to `position`, and with some events beyond: (id, position)."""

    flow: str
    position: int
    ahead: Sequence[tuple[str, int]]


class Positions:
    """Those of a database. A position that is lower than the one there changes nothing."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._saves: Gathering[Place, None] = Gathering(self._save, MOST_AT_ONCE)
        # Flows that nothing is known of ahead of their positions, as this process left them.
        self._plain: set[str] = set()

    async def save(self, place: Place) -> None:
        """Durable when it returns. Raises what the database does, or DatabaseAway."""
        await self._saves.add(place)

    async def close(self) -> None:
        """Waits for what was asked for."""
        await self._saves.close()

    async def _save(self, places: list[Place]) -> list[Exception | None]:
        latest: dict[str, Place] = {}
        for place in places:
            if place.flow not in latest or place.position >= latest[place.flow].position:
                latest[place.flow] = place
        plain = [one for flow, one in sorted(latest.items()) if flow in self._plain and not one.ahead]
        others = [one for flow, one in sorted(latest.items()) if flow not in self._plain or one.ahead]
        self._plain.difference_update(one.flow for one in others)
        await asyncio.to_thread(self._write, plain, others)
        self._plain.update(one.flow for one in others if not one.ahead)
        return [None] * len(places)

    def _write(self, plain: Sequence[Place], others: Sequence[Place]) -> None:
        def transaction() -> None:
            with self._engine.begin() as db:
                if plain:
                    _MOVE(db, [(one.flow, one.position) for one in plain])
                for one in others:
                    _replace(db, one)

        retried(transaction, again=True)


def _replace(db: sa.Connection, place: Place) -> None:
    """A flow of which another process has saved more since, as one that was thought dead finds, stays as it is."""
    _MOVE(db, (place.flow, place.position))
    there = db.scalar(sa.select(POSITIONS.c.position).where(POSITIONS.c.flow == place.flow))
    if there != place.position:
        return
    db.execute(INBOX.delete().where(INBOX.c.flow == place.flow))
    if place.ahead:
        rows = [{"flow": place.flow, "event_id": name, "position": position} for name, position in place.ahead]
        db.execute(INBOX.insert(), rows)


def until_saved(now: float) -> float:
    """Seconds until flows are saved the next time, the same moment for all of a process. `now`: as the loop has it."""
    return SAVE_SECONDS - now % SAVE_SECONDS
