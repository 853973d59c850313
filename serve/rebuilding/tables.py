"""Rebuilds a read model that is tables: made anew beside the one that answers, compared, and put in its place by key.

Each transaction replaces some keys' rows, and only those that are still as they were compared. So the shop may run,
the read model is never empty, and whoever does it again after a crash does what is left.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from pipelines.log.history import History
from pipelines.sql.retrying import retried
from serve.measures import Standings
from serve.opened import Opened
from serve.rebuilding.beside import Beside, Tell
from serve.rebuilding.comparing import MENDABLE, Comparison, Difference
from serve.rebuilding.models import ReadModel
from serve.rebuilding.rows import Digests, by_key, digest_of, lasting, put, rows_of

Mode = Literal["check", "mend", "drop"]
"""check: only compare. mend: what the log tells whole. drop: also what it does not, so that only the log counts."""

PATIENCE = 30.0
KEYS_AT_ONCE = 500
TRIES = 5


class Rebuilt(NamedTuple):
    """`there`, `made`: checksums at the first comparison; `now` the read model's at the end. `found`: what differed.

    `left`: what differs still. `moving`: keys that changed all the time, or that the flow has not read of yet.
    """

    events: int
    keys: int
    there: str
    made: str
    found: list[Difference]
    now: str
    left: list[Difference]
    moving: frozenset[str]
    unreadable: list[str]

    @property
    def equal(self) -> bool:
        return not (self.left or self.moving or self.unreadable)


async def rebuild(
    model: ReadModel,
    history: History,
    progress: Standings,
    live: Engine,
    mode: Mode,
    tell: Tell = lambda done, of: None,
    *,
    patience: float = PATIENCE,
) -> Rebuilt:
    """Raises what the log and the databases raise; what was replaced by then stays replaced."""
    with tempfile.TemporaryDirectory(prefix="troupe-rebuild-") as folder:
        async with Opened() as opened:
            beside = opened.closing(await asyncio.to_thread(Beside, model, history, Path(folder)))
            await beside.read_on(tell)
            comparison = Comparison(model, live, beside, progress)
            await comparison.settle(None, patience)
            there, made = comparison.checksums
            found = left = await comparison.differences()
            for _ in range(TRIES):
                wanted = [] if mode == "check" else [one for one in left if mode == "drop" or one.what in MENDABLE]
                if not wanted:
                    break
                await asyncio.to_thread(_replace, model, live, beside, comparison, [one.key for one in wanted])
                await comparison.settle([one.key for one in wanted], patience)
                left = await comparison.differences()
            keys, (now, _) = len(comparison.made), comparison.checksums
            return Rebuilt(beside.events, keys, there, made, found, now, left, comparison.moving, beside.unreadable)


def _replace(model: ReadModel, live: Engine, beside: Beside, comparison: Comparison, keys: Sequence[str]) -> None:
    for at in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[at : at + KEYS_AT_ONCE]
        try:
            retried(_replacing(model, live, beside, comparison.there, some), again=True)
        except IntegrityError:
            # The flow has just written one that was missing: the next comparison finds it.
            continue


def _replacing(
    model: ReadModel, live: Engine, beside: Beside, compared: Digests, keys: Sequence[str]
) -> Callable[[], None]:
    def transaction() -> None:
        with beside.engine.connect() as reading:
            made = rows_of(model, reading, keys)
        with live.begin() as connection:
            # First: who erases an account waits for this, or is waited for.
            lasts = lasting(model, connection, made, locked=True)
            there = by_key(rows_of(model, connection, keys, lock=True))
            as_compared = [key for key in keys if digest_of(there.get(key, [])) == compared.get(key, 0)]
            rows = by_key(lasts)
            put(model, connection, as_compared, [one for key in as_compared for one in rows.get(key, [])])

    return transaction
