"""Takes what a service of tables wrote into its outbox to Kafka, and deletes it once it is there.

Rows of one entity are in the order of its versions, since each is written under the lock of its row. Two relays of one
outbox, or one that died in between, send some events twice, never one in front of an earlier one of its entity.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from actors.runtime.tasks import Tasks
from pipelines.log.base import EventLog, Happened

BATCH = 500
LOOK_SECONDS = 1.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


class Outbox(EventLog, Protocol):
    """Rows by position, until they are told."""

    async def delete(self, positions: Sequence[int]) -> None:
        """Once more changes nothing."""
        ...


class Tells(Protocol):
    """The way into the event log."""

    async def tell(self, events: Sequence[Happened]) -> None:
        """Durable, each entity's in order, when it returns; when it raises nobody knows: tell them again."""
        ...


class OutboxRelay:
    """Of one outbox; that and the publisher are their owner's to close."""

    def __init__(self, name: str, outbox: Outbox, publisher: Tells) -> None:
        self._name = name
        self._outbox = outbox
        self._publisher = publisher
        self._tasks = Tasks()

    async def start(self) -> None:
        self._tasks.start(self._run(), f"relay of {self._name}")

    async def stop(self) -> None:
        await self._tasks.close()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                # From the start each time: what is done is gone, and a row may become visible behind a later one.
                events = await self._outbox.read(0, BATCH)
                if events:
                    await self._publisher.tell(events)
                    await self._outbox.delete([one.position for one in events])
                else:
                    await self._outbox.wait(0, LOOK_SECONDS)
                pause = FIRST_PAUSE
            except Exception as error:
                log.warning("the outbox of the %s cannot be relayed: %r", self._name, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
