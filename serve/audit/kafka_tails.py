"""What flows over Kafka have still to handle, written down so that the audit can ask by event.

A position in Kafka says nothing about the journal. So the end of each partition is read, from where the flow stands:
these events are pending. So is whatever no shard is known to have relayed; see `serve.audit.flows`.
"""

import asyncio
from pathlib import Path

import sqlalchemy as sa
from aiokafka import TopicPartition

from pipelines.log.kafka import Client, PartitionLog
from pipelines.progress_tables import DEAD_LETTERS, INBOX, POSITIONS
from serve.behind_kafka import partition_of
from serve.event_logs import cluster_of
from serve.settings import Settings

SECONDS = 60.0
PAGE = 1_000
EVERYWHERE = 2**62
"""A flow's position once what it has still to handle stands in `BEHIND`."""

BEHIND = sa.Table(
    "behind",
    sa.MetaData(),
    sa.Column("flow", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
)


def copy_progress(settings: Settings, folder: Path) -> None:
    """Makes of the positions of each partition, in the copy of the flows' database, one position of each flow.

    Raises KafkaError, or TimeoutError after a minute.
    """
    engine = sa.create_engine(f"sqlite:///{folder / 'flows.db'}")
    try:
        with engine.connect() as db:
            positions = {str(row.flow): int(row.position) for row in db.execute(sa.select(POSITIONS))}
        pending = asyncio.run(_pending(settings, positions))
        with engine.begin() as db:
            BEHIND.create(db)
            db.execute(POSITIONS.delete())
            flows = sorted({flow.partition("@")[0] for flow in positions})
            if flows:
                db.execute(POSITIONS.insert(), [{"flow": flow, "position": EVERYWHERE} for flow in flows])
            ahead = {(str(row.flow).partition("@")[0], str(row.event_id)) for row in db.execute(sa.select(INBOX))}
            rows = [{"flow": flow, "event_id": event} for flow, event in sorted(pending - ahead)]
            if rows:
                db.execute(BEHIND.insert(), rows)
            _rename_letters(db)
    finally:
        engine.dispose()


def _rename_letters(db: sa.Connection) -> None:
    letters = db.execute(sa.select(DEAD_LETTERS.c.flow, DEAD_LETTERS.c.event_id)).all()
    for flow, event_id in letters:
        here = (DEAD_LETTERS.c.flow == flow) & (DEAD_LETTERS.c.event_id == event_id)
        db.execute(DEAD_LETTERS.update().where(here).values(flow=str(flow).partition("@")[0]))


async def _pending(settings: Settings, positions: dict[str, int]) -> set[tuple[str, str]]:
    """Each flow's events behind where it stands, as (flow, id of the event)."""
    places: dict[TopicPartition, dict[str, int]] = {}
    for name, position in positions.items():
        partition = partition_of(name)
        if partition is not None:
            places.setdefault(partition, {})[name.partition("@")[0]] = position
    if not places:
        return set()
    client = Client(cluster_of(settings))
    found: set[tuple[str, str]] = set()
    async with asyncio.timeout(SECONDS):
        try:
            consumer = await client.consumer()
            consumer.assign(list(places))
            ends = await consumer.end_offsets(list(places))
            for partition, flows in places.items():
                log, reached = PartitionLog(consumer, partition), min(flows.values())
                while reached < ends[partition]:
                    await log.wait(reached, 1.0)
                    for happened in await log.read(reached, PAGE):
                        reached = happened.position
                        found |= {(flow, happened.id) for flow, at in flows.items() if at < reached}
        finally:
            await client.close()
    return found
