"""A service's outbox, read as an event log."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from pipelines.events import users
from pipelines.log import outbox, resting, sql
from pipelines.log.outbox import OutboxLog, outbox_table, put
from pipelines.log.resting import RESTS_AFTER, Resting
from pipelines.log.sql import JournalLog
from serve.users.store import open_engine
from tests.databases import Databases
from tests.unit.doubles import FakeClock, MemoryJournal

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


def test_a_file_rests_when_it_was_not_written_to_for_a_while(tmp_path: Path) -> None:
    file, now = tmp_path / "shop.db-wal", [10.0]
    rests = Resting(tmp_path / "shop.db", lambda: now[0])
    assert not rests()
    file.write_bytes(b"1")
    now[0] = 20.0
    assert not rests()
    now[0] += RESTS_AFTER
    assert rests()
    file.write_bytes(b"12")
    assert not rests()
    now[0] += RESTS_AFTER - 0.1
    assert not rests()
    now[0] += 0.1
    assert rests()
    assert not Resting(None, lambda: now[0])()


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_while_nobody_writes_it_is_looked_into_less_often(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, "u1", 1, CHANGED)
    monkeypatch.setattr(resting, "RESTS_AFTER", 0.0)
    monkeypatch.setattr(outbox, "LONGEST", 60.0)
    log = OutboxLog(engine, OUTBOX, look_every=0.01)
    looks, end = [0], log._end

    def counted() -> int:
        looks[0] += 1
        return end()

    monkeypatch.setattr(log, "_end", counted)
    await log.wait(1, 0.3)
    assert looks[0] <= 3
    waiting = asyncio.create_task(log.wait(1, 30))
    await asyncio.to_thread(write, engine, "u1", 2, CHANGED)
    monkeypatch.setattr(resting, "RESTS_AFTER", 0.5)
    await asyncio.wait_for(waiting, 5)


async def test_a_journal_that_rests_is_looked_into_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journal.db-wal").write_bytes(b"1")
    monkeypatch.setattr(resting, "RESTS_AFTER", 0.0)
    monkeypatch.setattr(sql, "LONGEST", 60.0)
    log = JournalLog(MemoryJournal(FakeClock()), look_every=0.01, file=tmp_path / "journal.db")
    await log.wait(0, 0.01)
    waiting = asyncio.create_task(log.wait(0, 30))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    monkeypatch.setattr(resting, "RESTS_AFTER", 0.5)
    (tmp_path / "journal.db-wal").write_bytes(b"12")
    await asyncio.wait_for(waiting, 5)
