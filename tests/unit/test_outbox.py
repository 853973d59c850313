"""A service's outbox, read as an event log."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
import sqlalchemy as sa

from pipelines.events import users
from pipelines.log.outbox import OutboxLog, outbox_table, put
from serve.users.store import open_engine
from tests.databases import Databases

METADATA = sa.MetaData()
OUTBOX = outbox_table(METADATA)
DELETED, CHANGED = users.UserDeleted(9), users.UserProfileChanged(("name",), 8)


@pytest.fixture
def engine(databases: Databases) -> Iterator[sa.Engine]:
    made = open_engine(databases("users"))
    METADATA.create_all(made)
    yield made
    made.dispose()


def write(engine: sa.Engine, entity: str, version: int, *events: users.Event) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        put(connection, OUTBOX, users.KIND, entity, version, events, at=7)


async def test_what_was_put_is_read_in_order(engine: sa.Engine) -> None:
    log = OutboxLog(engine, OUTBOX)
    assert await log.read(0, 10) == []
    write(engine, "u1", 1, CHANGED)
    write(engine, "u2", 4, CHANGED, DELETED)
    write(engine, "u1", 2)
    found = await log.read(0, 10)
    assert [(one.position, one.id, one.at) for one in found] == [
        (1, "user/u1/1/0", 7),
        (2, "user/u2/4/0", 7),
        (3, "user/u2/4/1", 7),
    ]
    assert msgspec.msgpack.decode(found[2].event, type=users.Event) == DELETED
    assert await log.read(1, 1) == found[1:2]


async def test_what_happened_at_a_version_is_said_once(engine: sa.Engine) -> None:
    write(engine, "u1", 1, CHANGED)
    with pytest.raises(sa.exc.IntegrityError):
        write(engine, "u1", 1, DELETED)
    assert len(await OutboxLog(engine, OUTBOX).read(0, 10)) == 1


async def test_a_wait_ends_when_another_process_has_written_and_at_its_deadline(engine: sa.Engine) -> None:
    log = OutboxLog(engine, OUTBOX, look_every=0.005)
    await log.wait(0, 0.02)
    waiting = asyncio.create_task(log.wait(0, 30))
    await asyncio.to_thread(write, engine, "u1", 1, CHANGED)
    await asyncio.wait_for(waiting, 5)
    await log.wait(0, 30)
