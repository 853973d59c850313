"""What a journal on SQLite says when its database does not answer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.journal.base import JournalUnavailable, ShardRow, Snapshot
from actors.journal.sql import SqlJournal
from tests.contract.test_journal import record, said


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqlJournal]:
    """One that does not wait long for a lock."""
    made = SqlJournal(str(tmp_path / "journal.db"), busy_seconds=0.02)
    await made.setup()
    yield made
    await made.close()


@pytest.fixture
def lock(tmp_path: Path, journal: SqlJournal) -> Iterator[sqlite3.Connection]:
    """Somebody else who writes, and does not come to an end."""
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def test_the_outcome_of_a_write_is_unknown_and_it_may_come_again(
    journal: SqlJournal, lock: sqlite3.Connection
) -> None:
    assert said(await journal.write([record(1), record(2)])) == ["Unknown", "Unknown"]
    lock.execute("ROLLBACK")
    assert said(await journal.write([record(1), record(2)])) == ["Committed", "Committed"]


async def test_a_refusal_that_no_key_explains_is_unknown_and_said(
    journal: SqlJournal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await journal.write([record(1)])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON records WHEN NEW.seq = 2 AND NEW.shard = 0 "
            "BEGIN SELECT RAISE(ABORT, 'not today'); END"
        )
        async with asyncio.timeout(10):
            told = await journal.write([record(2), record(3), record(1, shard=1, entity="b"), record(1)])
        assert said(told) == ["Unknown", "Unknown", "Unknown", "Conflict"]
        (line,) = caplog.records
        assert (line.levelname, line.name) == ("ERROR", "troupe.journal")
        assert "not today" in caplog.text
        connection.execute("DROP TRIGGER no")
    assert said(await journal.write([record(2), record(3)])) == ["Committed", "Committed"]


async def test_everything_else_that_writes_says_so(journal: SqlJournal, lock: sqlite3.Connection) -> None:
    row = ShardRow("k", 0, 0, "", 0, b"")
    for call in (
        journal.save_snapshots([Snapshot("k", "a", 1, b"")]),
        journal.take_shards([row], "one", [1]),
        journal.save_checkpoints([row]),
        journal.renew("one", 1_000, []),
        journal.revoke("one", [("k", 0, 1)]),
        journal.end_lease("one"),
    ):
        with pytest.raises(JournalUnavailable):
            await call
    lock.execute("ROLLBACK")
    assert await journal.take_shards([row], "one", [1]) == [True]


async def test_reads_wait_for_nobodys_writes(journal: SqlJournal, lock: sqlite3.Connection) -> None:
    lock.execute("ROLLBACK")
    await journal.write([record(1)])
    lock.execute("BEGIN IMMEDIATE")
    assert await journal.load("k", "a") == (None, [record(1)])
    assert await journal.last_records([("k", 0)]) == {("k", 0): record(1)}
    assert len(await journal.log(0, 10)) == 1


async def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    journal = SqlJournal(str(tmp_path / "nowhere" / "journal.db"), busy_seconds=0.02)
    assert said(await journal.write([record(1)])) == ["Unknown"]
    for call in (
        journal.setup(),
        journal.load("k", "a"),
        journal.last_records([("k", 0)]),
        journal.shard_records("k", 0, 0, 1),
        journal.record_of_command("k", "a", "c:1"),
        journal.shard_rows([("k", 0)]),
        journal.log(0, 1),
    ):
        with pytest.raises(JournalUnavailable):
            await call
    await journal.close()


async def test_one_shards_conflict_beside_anothers_unknown_outcome(
    journal: SqlJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away between the refusal and the second go: what was said of the refused stands."""
    await journal.write([record(1)])
    sort_out = journal._records._sort_out
    somebody = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    with closing(somebody):

        def and_lock(*arguments: Any) -> list[int]:
            left = sort_out(*arguments)
            somebody.execute("BEGIN IMMEDIATE")
            return left

        monkeypatch.setattr(journal._records, "_sort_out", and_lock)
        batch = [record(1, "z", 1, name="n"), record(2), record(1, "b", shard=1)]
        assert said(await journal.write(batch)) == ["Conflict", "NotWritten", "Unknown"]


async def test_a_loop_goes_on_while_the_database_makes_it_wait(
    tmp_path: Path, journal: SqlJournal, lock: sqlite3.Connection
) -> None:
    patient = SqlJournal(str(tmp_path / "journal.db"), busy_seconds=5)
    writing = asyncio.ensure_future(patient.write([record(1)]))
    turns = 0
    async with asyncio.timeout(5):
        while turns < 1_000:
            await asyncio.sleep(0)
            turns += 1
    assert not writing.done()
    lock.execute("ROLLBACK")
    assert said(await writing) == ["Committed"]
    await patient.close()


async def test_a_restart_finds_everything(tmp_path: Path) -> None:
    path = str(tmp_path / "again.db")
    first = SqlJournal(path)
    await first.setup()
    await first.write([record(1), record(2)])
    await first.close()
    second = SqlJournal(path)
    await second.setup()
    assert await second.shard_records("k", 0, 0, 10) == [record(1), record(2)]
    await second.close()


async def test_owners_that_are_long_dead_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    journal = SqlJournal(str(path))
    await journal.setup()
    for owner in ("dead", "alive"):
        await journal.renew(owner, 2_000, ())
        await journal.revoke(owner, [("k", 0, 2)])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE leases SET until = until - 90000000 WHERE owner = 'dead'")
        await journal.take_shards([ShardRow("k", 0, 0, "", 0, b"")], "alive", [1])
        assert database.execute("SELECT owner FROM leases").fetchall() == [("alive",)]
        assert database.execute("SELECT owner FROM revocations").fetchall() == [("alive",)]
    await journal.close()
