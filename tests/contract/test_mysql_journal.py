"""What a journal in MySQL or MariaDB does when connections and answers are lost, and in which order it is read."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from actors.journal.base import Conflict, Journal, JournalUnavailable, Key, Logged, Snapshot
from actors.journal.mysql import MySqlJournal
from tests.contract.own_databases import sql_database
from tests.contract.test_journal import record, said

pytestmark = pytest.mark.servers

LOST = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")


@pytest.fixture(params=["MARIADB", "MYSQL"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with sql_database(request.param) as found:
        yield found


async def opened(url: str, ordered: bool = False, seconds: float = 3.0) -> MySqlJournal:
    made = MySqlJournal(url, ordered, seconds)
    await made.setup()
    return made


def somebody(url: str) -> Any:
    return create_engine(url, poolclass=NullPool).raw_connection()


async def test_a_commit_whose_answer_is_lost_is_unknown_and_ends_in_one_record(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await opened(url)
    commit = pymysql.connections.Connection.commit

    def and_lose(connection: Any) -> None:
        monkeypatch.setattr(pymysql.connections.Connection, "commit", commit)
        connection.commit()
        raise LOST

    batch = [record(1), record(2), record(1, "b", shard=1)]
    monkeypatch.setattr(pymysql.connections.Connection, "commit", and_lose)
    assert said(await journal.write(batch)) == ["Unknown"] * 3
    again = await journal.write(batch)
    assert (again[0], again[2]) == (Conflict(Key.SEQUENCE, record(1)), Conflict(Key.SEQUENCE, batch[2]))
    assert await journal.shard_records("k", 0, 0, 10) == [record(1), record(2)]
    await journal.close()


async def test_connections_that_the_server_ended_make_one_write_unknown_and_no_read_fail(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = await opened(url)
    await journal.write([record(1)])
    await journal.load("k", "a")
    connection = somebody(url)
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    for (number,) in cursor.fetchall():
        cursor.execute(f"KILL {number}")
    connection.close()
    assert said(await journal.write([record(2)])) == ["Unknown"]
    assert said(await journal.write([record(2)])) == ["Committed"]
    assert "OperationalError 20" in caplog.text
    assert (await journal.load("k", "a"))[1] == [record(1), record(2)]
    await journal.close()


async def test_who_holds_a_lock_for_too_long_makes_it_unknown(url: str) -> None:
    """Other shards of other hosts are written meanwhile."""
    journal, other = await opened(url), await opened(url)
    connection = somebody(url)
    connection.cursor().execute(
        "INSERT INTO records (record_id, kind, shard, seq, epoch, entity, version, command_id, body) "
        "VALUES ('x', 'k', 0, 1, 1, 'x', 1, 'x', '')"
    )
    writing = asyncio.ensure_future(journal.write([record(1)]))
    assert said(await other.write([record(1, "b", shard=1), record(2, "c", shard=1)])) == ["Committed"] * 2
    assert said(await writing) == ["Unknown"]
    assert await journal.shard_records("k", 0, 0, 10) == []
    connection.rollback()
    connection.close()
    assert said(await journal.write([record(1)])) == ["Committed"]
    await journal.close()
    await other.close()


@pytest.mark.parametrize("code", [1205, 1213])
async def test_a_deadlock_is_tried_again(url: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await opened(url)
    executemany = pymysql.cursors.Cursor.executemany
    some = [Snapshot("k", "a", 1, b"one"), Snapshot("k", "b", 1, b"one")]
    refused = 0

    def refuse(cursor: Any, *arguments: Any) -> Any:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise pymysql.err.OperationalError(code, "try restarting transaction")
        return executemany(cursor, *arguments)

    for call in (journal.write([record(1), record(2)]), journal.save_snapshots(some)):
        refused = 0
        monkeypatch.setattr(pymysql.cursors.Cursor, "executemany", refuse)
        await call
        assert refused == 3
        monkeypatch.undo()
    assert await journal.load("k", "a") == (some[0], [record(2)])
    await journal.close()


async def test_a_key_that_is_too_long_is_refused_and_not_shortened(url: str) -> None:
    journal = await opened(url)
    assert said(await journal.write([record(1, "a" * 121)])) == ["Unknown"]
    assert await journal.shard_records("k", 0, 0, 10) == []
    await journal.close()


async def test_positions_of_two_hosts_become_visible_in_order(url: str) -> None:
    """A reader goes on from the last position that it saw, and nothing ever appears behind it."""
    journals = [await opened(url, ordered=True) for _ in range(3)]
    over = asyncio.Event()

    async def write(shard: int, journal: Journal) -> None:
        for n in range(0, 60, 3):
            batch = [record(n + more, f"{shard}.{n + more}", 1, shard=shard) for more in range(3)]
            assert said(await journal.write(batch)) == ["Committed"] * 3
            if n % 9 == 0:
                # A refusal takes no position with it.
                assert said(await journal.write([record(n, "z", n + 1, shard=shard)])) == ["Conflict"]

    async def read() -> list[Logged]:
        seen: list[Logged] = []
        while not over.is_set() or len(seen) < 120:
            seen += await journals[2].log(len(seen), 1_000)
            assert [entry.position for entry in seen] == list(range(1, len(seen) + 1))
        return seen

    reading = asyncio.ensure_future(read())
    async with asyncio.timeout(60):
        await asyncio.gather(*(write(shard, journals[shard]) for shard in range(2)))
        over.set()
        seen = await reading
    for shard in range(2):
        assert [entry.record.seq for entry in seen if entry.record.shard == shard] == list(range(60))
    assert await journals[0].end() == 120
    for journal in journals:
        await journal.close()


async def test_a_journal_without_positions_gets_them_later(url: str) -> None:
    first = await opened(url)
    await first.write([record(1), record(2)])
    await first.close()
    second = await opened(url, ordered=True)
    await second.write([record(3)])
    assert [entry.record for entry in await second.log(0, 10)] == [record(1), record(2), record(3)]
    await second.close()


async def test_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    journal = MySqlJournal("mysql+pymysql://user:secret@127.0.0.1:1/troupe", seconds=0.5)
    assert said(await journal.write([record(1)])) == ["Unknown"]
    for call in (
        journal.setup(),
        journal.load("k", "a"),
        journal.last_records([("k", 0)]),
        journal.renew("one", 1, []),
    ):
        with pytest.raises(JournalUnavailable) as told:
            await call
        assert "secret" not in str(told.value)
    assert "secret" not in caplog.text
    await journal.close()
