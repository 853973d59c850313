"""The adapters of the event log port. Add one here, and the whole contract is asked of it."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from actors.decision import Message
from actors.journal.sql import SqlJournal
from actors.runtime.wire import Body, Record, encode
from pipelines.log.base import EventLog, Happened
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import TopicLog
from pipelines.log.outbox import OutboxLog, outbox_table, put
from pipelines.log.publishing import KafkaPublisher
from pipelines.log.sql import JournalLog
from tests.servers import address

AT = 1_700_000_000_000


class Write(Protocol):
    async def __call__(self, entity: str, version: int, *events: Message) -> None:
        """Makes events of one version known."""
        ...


class Given(NamedTuple):
    log: EventLog
    write: Write


@asynccontextmanager
async def journal(folder: Path) -> AsyncIterator[Given]:
    journal = SqlJournal(str(folder / "journal.db"))
    await journal.setup()
    written = 0

    async def write(entity: str, version: int, *events: Message) -> None:
        nonlocal written
        written += 1
        body = encode(Body(AT, events=tuple(encode(event) for event in events)))
        await journal.write(
            [Record(secrets.token_bytes(16), "user", 0, written, 1, entity, version, f"c:{written}", body)]
        )

    yield Given(JournalLog(journal, look_every=0.01), write)
    await journal.close()


@asynccontextmanager
async def outbox(folder: Path) -> AsyncIterator[Given]:
    metadata = sa.MetaData()
    table = outbox_table(metadata)
    engine = sa.create_engine(f"sqlite:///{folder / 'outbox.db'}")
    metadata.create_all(engine)

    async def write(entity: str, version: int, *events: Message) -> None:
        with engine.begin() as connection:
            put(connection, table, "user", entity, version, events, AT)

    log = OutboxLog(engine, table, look_every=0.01)
    yield Given(log, write)
    await log.close()


@asynccontextmanager
async def kafka(_: Path) -> AsyncIterator[Given]:
    """A topic of its own."""
    cluster = KafkaCluster(address("KAFKA"), f"test-{secrets.token_hex(6)}-")
    topic = cluster.topic("user")
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    publisher, log = KafkaPublisher(cluster), TopicLog(cluster, "user")

    async def write(entity: str, version: int, *events: Message) -> None:
        told = [Happened(0, "user", entity, version, n, AT, encode(event)) for n, event in enumerate(events)]
        await publisher.tell(told)

    yield Given(log, write)
    await log.close()
    await publisher.close()
    await admin.delete_topics([topic])
    await admin.close()


ADAPTERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Given]]] = {
    "journal": journal,
    "outbox": outbox,
    "kafka": kafka,
}
NEED_SERVERS = {"kafka"}
