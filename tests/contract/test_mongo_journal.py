"""What a journal in MongoDB says when a write's outcome is lost, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from actors.journal.base import Conflict, JournalUnavailable, Key, ShardRow, Snapshot
from actors.journal.mongo import MongoJournal
from tests.contract.own_databases import mongo_database
from tests.contract.test_journal import record, said
from tests.servers import address

pytestmark = pytest.mark.servers


@pytest.fixture
def url() -> Iterator[str]:
    with mongo_database() as made:
        yield made


@pytest.fixture
async def journal(url: str) -> AsyncIterator[MongoJournal]:
    made = MongoJournal(url, seconds=3)
    await made.setup()
    yield made
    await made.close()


@pytest.fixture
def admin() -> Iterator[Any]:
    """Who can make commands fail; at the end none does any more."""
    client: MongoClient[dict[str, Any]] = MongoClient(address("MONGO"))
    yield client.admin
    client.admin.command("configureFailPoint", "failCommand", mode="off")
    client.close()


def fail(admin: Any, command: str, times: int = 1, **how: Any) -> None:
    data = {"failCommands": [command], "appName": "troupe", **how}
    admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})


WRITE_CONCERN = {"code": 64, "errmsg": "waiting for replication timed out", "errInfo": {"wtimeout": True}}
LOST: list[dict[str, Any]] = [{"closeConnection": True}, {"writeConcernError": WRITE_CONCERN}, {"errorCode": 11602}]


@pytest.mark.parametrize("how", LOST, ids=["connection", "write concern", "stepped down"])
async def test_a_lost_outcome_is_unknown_and_ends_in_one_record(
    journal: MongoJournal, admin: Any, how: dict[str, Any]
) -> None:
    batch = [record(1), record(1, "b", shard=1), record(2)]
    fail(admin, "insert", **how)
    assert said(await journal.write(batch)) == ["Unknown"] * 3
    again = await journal.write(batch)
    if "writeConcernError" in how:
        # They had been written: each is found, as it is.
        assert again == [Conflict(Key.SEQUENCE, one) for one in batch]
    else:
        assert said(again) == ["Committed"] * 3
    assert await journal.shard_records("k", 0, 0, 10) == [record(1), record(2)]
    assert await journal.shard_records("k", 1, 0, 10) == [record(1, "b", shard=1)]


async def test_a_write_that_comes_too_late_to_be_told(journal: MongoJournal, admin: Any) -> None:
    """Its deadline is over while it still waits in the server."""
    fail(admin, "insert", blockConnection=True, blockTimeMS=4_000)
    assert said(await journal.write([record(1)])) == ["Unknown"]
    async with asyncio.timeout(20):
        # It may land before this, beside it or after it: in the end it is there once.
        outcome = (await journal.write([record(1)]))[0]
    assert said([outcome]) == ["Committed"] or outcome == Conflict(Key.SEQUENCE, record(1))
    assert await journal.shard_records("k", 0, 0, 10) == [record(1)]


async def test_a_duplicate_beside_a_write_concern_error_is_unknown(journal: MongoJournal, admin: Any) -> None:
    """Neither what was written nor what stands in the way need be there after a failover."""
    await journal.write([record(1)])
    fail(admin, "insert", writeConcernError=WRITE_CONCERN)
    assert said(await journal.write([record(1, "b", name="n"), record(1, "c", shard=1)])) == ["Unknown"] * 2
    assert said(await journal.write([record(1, "b", name="n"), record(1, "c", shard=1)])) == ["Conflict", "Committed"]


async def test_of_what_landed_all_is_found_at_once_and_the_rest_waits(journal: MongoJournal) -> None:
    batch = [record(n) for n in range(1, 6)] + [record(n, f"b{n}", 1, shard=1) for n in range(1, 4)]
    await journal.write([*batch[:3], batch[5]])
    outcomes = await journal.write([*batch, record(1, "c", 1, shard=2)])
    assert outcomes[:3] == [Conflict(Key.SEQUENCE, one) for one in batch[:3]]
    assert outcomes[5] == Conflict(Key.SEQUENCE, batch[5])
    assert said(outcomes[3:5] + outcomes[6:]) == ["NotWritten"] * 4 + ["Committed"]
    assert said(await journal.write([*batch[3:5], *batch[6:]])) == ["Committed"] * 4


async def test_what_no_key_explains_is_unknown_and_said(
    journal: MongoJournal, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    client.get_default_database().command("collMod", "records", validator={"seq": {"$ne": 2}})
    client.close()
    told = await journal.write([record(1), record(2), record(1, "b", shard=1)])
    assert said(told) == ["Unknown"] * 3
    assert "code 121" in caplog.text
    await journal.setup()
    assert (await journal.write([record(1)])) == [Conflict(Key.SEQUENCE, record(1))]
    assert said(await journal.write([record(2), record(1, "b", shard=1)])) == ["Committed"] * 2


@pytest.mark.parametrize("how", [LOST[0], LOST[1]], ids=["connection", "write concern"])
async def test_everything_else_that_writes_says_so(journal: MongoJournal, admin: Any, how: dict[str, Any]) -> None:
    row = ShardRow("k", 0, 1, "one", 1, b"")
    calls: dict[str, list[Callable[[], Awaitable[object]]]] = {
        "update": [
            lambda: journal.save_snapshots([Snapshot("k", "a", 1, b"")]),
            lambda: journal.save_checkpoints([row]),
        ],
        "insert": [lambda: journal.take_shards([ShardRow("k", 0, 0, "", 0, b"")], "one", [1])],
        "findAndModify": [lambda: journal.renew("one", 1_000, []), lambda: journal.revoke("one", [("k", 0, 1)])],
        "delete": [lambda: journal.end_lease("one")],
    }
    for command, some in calls.items():
        for call in some:
            fail(admin, command, **how)
            with pytest.raises(JournalUnavailable):
                await call()


async def test_nobody_answers() -> None:
    journal = MongoJournal("mongodb://user:secret@127.0.0.1:1/troupe", seconds=0.2)
    assert said(await journal.write([record(1)])) == ["Unknown"]
    for call in (
        journal.setup(),
        journal.load("k", "a"),
        journal.last_records([("k", 0)]),
        journal.shard_records("k", 0, 0, 1),
        journal.record_of_command("k", "a", "c:1"),
        journal.shard_rows([("k", 0)]),
        journal.renew("one", 1, []),
    ):
        with pytest.raises(JournalUnavailable) as told:
            await call
        assert "secret" not in str(told.value)
    await journal.close()


async def test_owners_that_are_long_dead_are_forgotten(journal: MongoJournal, url: str) -> None:
    for owner in ("dead", "alive"):
        await journal.renew(owner, 2_000, ())
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    leases = client.get_default_database()["leases"]
    leases.update_one({"_id": "dead"}, {"$inc": {"until": -90_000_000}})
    await journal.take_shards([ShardRow("k", 0, 0, "", 0, b"")], "alive", [1])
    assert [one["_id"] for one in leases.find()] == ["alive"]
    client.close()
