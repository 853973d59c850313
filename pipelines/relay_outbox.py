"""Takes what a service of tables wrote into its outbox to Kafka, and deletes it once it is there.

Rows of one entity are in the order of its versions, since each is written under the lock of its row. Two relays of one
outbox, or one that died in between, send some events twice, never one in front of an earlier one of its entity.
"""

import asyncio
import logging

import sqlalchemy as sa

from actors.runtime.tasks import Tasks
from pipelines.log.outbox import OutboxLog
from pipelines.log.publishing import KafkaPublisher

BATCH = 500
LOOK_SECONDS = 1.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = logging.getLogger("troupe.flows")


class OutboxRelay:
    """Of one outbox; the engine and the publisher are their owner's to close."""

    def __init__(self, name: str, engine: sa.Engine, outbox: sa.Table, publisher: KafkaPublisher) -> None:
        self._name = name
        self._engine = engine
        self._outbox = outbox
        self._log = OutboxLog(engine, outbox)
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
                events = await self._log.read(0, BATCH)
                if events:
                    await self._publisher.tell(events)
                    await asyncio.to_thread(self._delete, [one.position for one in events])
                else:
                    await self._log.wait(0, LOOK_SECONDS)
                pause = FIRST_PAUSE
            except Exception as error:
                log.warning("the outbox of the %s cannot be relayed: %r", self._name, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _delete(self, positions: list[int]) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._outbox.delete().where(self._outbox.c.position.in_(positions)))
