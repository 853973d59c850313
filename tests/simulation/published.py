"""What stands in Kafka is what was committed, all of it, each entity's in order; some of it more than once."""

from collections.abc import Iterator

import msgspec

from pipelines.log.base import Happened
from pipelines.log.cloud_events import events_of, from_kafka
from tests.simulation.database import Databases
from tests.simulation.kafka import SimulatedKafka
from tests.simulation.people import Users


def check_published(database: Databases, users: Users, kafka: SimulatedKafka) -> Iterator[str]:
    due = {happened.id: happened for record in database.records for happened in events_of(record)}
    due |= {happened.id: happened for happened in users.outbox}
    seen: dict[str, None] = {}
    for place, partition in kafka.partitions.items():
        last: dict[str, Happened] = {}
        for stored in partition.records:
            happened = from_kafka(stored.offset + 1, stored.headers, stored.value, stored.timestamp)
            committed = due.get(happened.id)
            if committed is None or not _same(happened, committed):
                yield f"{happened.id} stands in {place} as {happened}, committed is {committed}"
            if happened.id in seen:
                continue
            seen[happened.id] = None
            before = last.get(happened.entity)
            if before is not None and (before.version, before.index) > (happened.version, happened.index):
                yield f"{happened.id} stands in {place} behind {before.id}"
            last[happened.entity] = happened
    if missing := [name for name in due if name not in seen]:
        yield f"{len(missing)} events were never published: {missing[:5]}"


def _same(happened: Happened, committed: Happened) -> bool:
    if happened.at != committed.at:
        return False
    # Through JSON and back a number may be written in another way.
    return happened.event == committed.event or msgspec.msgpack.decode(happened.event) == msgspec.msgpack.decode(
        committed.event
    )
