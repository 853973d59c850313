"""What every journal does: the same tests for each adapter in journals.py."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.journal.base import Committed, Conflict, Journal, Key, NotWritten, Outcome, ShardRow, Snapshot
from actors.runtime.wire import Record
from tests.contract.journals import ADAPTERS, SERVERS, Two


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.servers if name in SERVERS else ()) for name in sorted(ADAPTERS | SERVERS)
    ]
)
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Two]:
    async with (ADAPTERS | SERVERS)[request.param](tmp_path) as journals:
        yield journals


@pytest.fixture
def journal(two: Two) -> Journal:
    return two[0]


@pytest.fixture
def other(two: Two) -> Journal:
    return two[1]


def record(seq: int, entity: str = "a", version: int | None = None, command: str = "", **more: object) -> Record:
    """The record with this number in shard 0 of kind `k`, if nothing else is said."""
    shard, kind = more.pop("shard", 0), more.pop("kind", "k")
    epoch, name = more.pop("epoch", 1), more.pop("name", "")
    assert not more
    assert isinstance(shard, int)
    assert isinstance(kind, str)
    assert isinstance(epoch, int)
    version = seq if version is None else version
    record_id = f"{name}{kind}{shard}.{seq}.{entity}".encode().ljust(16, b"\0")[:16]
    return Record(record_id, kind, shard, seq, epoch, entity, version, command or f"c:{seq}", b"body")


def said(outcomes: list[Outcome]) -> list[str]:
    """By their types: outcomes without fields are equal, being empty tuples."""
    return [type(outcome).__name__ for outcome in outcomes]


class TestWriting:
    async def test_records_are_there_when_they_are_committed(self, journal: Journal, other: Journal) -> None:
        some = [record(n) for n in (1, 2, 3)]
        assert said(await journal.write(some)) == ["Committed"] * 3
        assert await other.shard_records("k", 0, 0, 10) == some

    async def test_nothing_to_write(self, journal: Journal) -> None:
        assert await journal.write([]) == []

    @pytest.mark.parametrize(
        ("key", "refused"),
        [
            (Key.SEQUENCE, record(1, "b", 1, "c:other")),
            (Key.VERSION, record(2, "a", 1, "c:other")),
            (Key.VERSION, record(1, "a", 1, "c:other", shard=7)),
            (Key.COMMAND, record(2, "a", 2, "c:1")),
            (Key.COMMAND, record(1, "a", 2, "c:1", shard=7)),
        ],
    )
    async def test_a_refusal_names_the_key_and_what_stands_there(
        self, journal: Journal, other: Journal, key: Key, refused: Record
    ) -> None:
        await journal.write([record(1)])
        assert await other.write([refused]) == [Conflict(key, record(1))]
        assert [r for n in (0, 7) for r in await journal.shard_records("k", n, 0, 10)] == [record(1)]

    @pytest.mark.parametrize(
        "free",
        [
            record(1, "a", 1, "c:1", kind="other"),
            record(1, "b", 1, "c:1", shard=7),
            record(2, "a", 2, "c:2"),
            record(2, "A", 1, "c:1"),
            record(2, "a ", 1, "c:1"),
            record(2, "ä", 1, "c:1"),
        ],
        ids=["kind", "shard", "next", "case", "blank", "accent"],
    )
    async def test_what_differs_is_not_refused(self, journal: Journal, free: Record) -> None:
        await journal.write([record(1)])
        assert said(await journal.write([free])) == ["Committed"]
        assert (await journal.load(free.kind, free.entity))[1][-1] == free

    async def test_the_same_record_again_finds_itself(self, journal: Journal, other: Journal) -> None:
        await journal.write([record(1), record(2)])
        assert await other.write([record(1)]) == [Conflict(Key.SEQUENCE, record(1))]
        assert await journal.write([record(2)]) == [Conflict(Key.SEQUENCE, record(2))]

    async def test_a_batch_of_which_the_first_are_there_already(self, journal: Journal) -> None:
        """After an unknown outcome: what landed is found, the rest of its shard waits for the next write."""
        await journal.write([record(1)])
        outcomes = await journal.write([record(1), record(2)])
        assert outcomes[0] == Conflict(Key.SEQUENCE, record(1))
        assert isinstance(outcomes[1], NotWritten)
        assert said(await journal.write([record(2)])) == ["Committed"]

    async def test_of_a_shard_a_prefix_is_written_and_of_other_shards_all(self, journal: Journal) -> None:
        await journal.write([record(1, "x")])
        batch = [
            record(2, "a", 1),
            record(1, "b", 1, shard=1),
            record(3, "x", 1, "c:new"),
            record(4, "c", 1),
            record(2, "d", 1, shard=1),
            record(5, "e", 1),
            record(1, "f", 1, kind="other"),
        ]
        outcomes = await journal.write(batch)
        assert said(outcomes) == [
            "Committed",
            "Committed",
            "Conflict",
            "NotWritten",
            "Committed",
            "NotWritten",
            "Committed",
        ]
        assert outcomes[2] == Conflict(Key.VERSION, record(1, "x"))
        assert [r.entity for r in await journal.shard_records("k", 0, 0, 10)] == ["x", "a"]
        assert [r.entity for r in await journal.shard_records("k", 1, 0, 10)] == ["b", "d"]
        for entity in ("c", "e"):
            assert await journal.load("k", entity) == (None, [])

    async def test_two_shards_may_be_refused_at_once(self, journal: Journal) -> None:
        await journal.write([record(1), record(1, "b", shard=1)])
        batch = [record(1, "z", name="n"), record(1, "y", shard=1, name="n"), record(2), record(1, "c", shard=2)]
        outcomes = await journal.write(batch)
        assert outcomes[:2] == [Conflict(Key.SEQUENCE, record(1)), Conflict(Key.SEQUENCE, record(1, "b", shard=1))]
        assert said(outcomes) == ["Conflict", "Conflict", "NotWritten", "Committed"]

    async def test_a_batch_that_stands_in_its_own_way(self, journal: Journal) -> None:
        """The first of the two is committed; the second is not, and learns why at the latest when it comes again."""
        first, second = record(1, "a", 1, "c:x"), record(1, "a", 2, "c:x", shard=1)
        outcomes = await journal.write([first, second, record(2, "b", 1, shard=1)])
        assert isinstance(outcomes[0], Committed)
        assert outcomes[1] == Conflict(Key.COMMAND, first) or isinstance(outcomes[1], NotWritten)
        assert isinstance(outcomes[2], NotWritten)
        assert await journal.write([second]) == [Conflict(Key.COMMAND, first)]

    async def test_the_number_zero_and_gaps_are_nobodys_business_here(self, journal: Journal) -> None:
        assert said(await journal.write([record(5), record(9)])) == ["Committed", "Committed"]
        assert [r.seq for r in await journal.shard_records("k", 0, 0, 10)] == [5, 9]

    async def test_a_large_record(self, journal: Journal) -> None:
        big = Record(b"big".ljust(16), "k", 0, 1, 1, "a", 1, "c:" + "x" * 118, bytes(range(256)) * 2**14)
        assert said(await journal.write([big])) == ["Committed"]
        assert await journal.load("k", "a") == (None, [big])


class TestReading:
    async def test_the_last_records_of_the_shards_that_have_one(self, journal: Journal) -> None:
        await journal.write([record(1), record(2), record(3, epoch=2), record(1, "b", shard=1)])
        wanted = [("k", 0), ("k", 1), ("k", 2), ("other", 0)]
        assert await journal.last_records(wanted) == {
            ("k", 0): record(3, epoch=2),
            ("k", 1): record(1, "b", shard=1),
        }
        assert await journal.last_records([]) == {}

    async def test_a_shards_records_in_pages(self, journal: Journal) -> None:
        await journal.write([record(n) for n in range(1, 8)] + [record(1, "b", shard=1)])
        assert [r.seq for r in await journal.shard_records("k", 0, 0, 3)] == [1, 2, 3]
        assert [r.seq for r in await journal.shard_records("k", 0, 3, 3)] == [4, 5, 6]
        assert [r.seq for r in await journal.shard_records("k", 0, 6, 3)] == [7]
        assert await journal.shard_records("k", 0, 7, 3) == []

    async def test_an_entitys_records_in_order_of_version(self, journal: Journal) -> None:
        await journal.write([record(1, "a", 1), record(2, "b", 1), record(3, "a", 2)])
        await journal.write([record(4, "a", 3)])
        snapshot, records = await journal.load("k", "a")
        assert (snapshot, [r.version for r in records]) == (None, [1, 2, 3])
        assert await journal.load("k", "never") == (None, [])
        assert await journal.load("other", "a") == (None, [])

    async def test_the_record_of_a_command(self, journal: Journal) -> None:
        await journal.write([record(1, "a", 1, "c:x"), record(2, "b", 1, "c:x")])
        assert await journal.record_of_command("k", "a", "c:x") == record(1, "a", 1, "c:x")
        assert await journal.record_of_command("k", "b", "c:x") == record(2, "b", 1, "c:x")
        assert await journal.record_of_command("k", "a", "c:y") is None
        assert await journal.record_of_command("other", "a", "c:x") is None

    async def test_the_log_has_all_committed_records_in_order_and_no_refused_one(self, journal: Journal) -> None:
        first = await journal.write([record(1), record(1, "b", shard=1), record(2)])
        await journal.write([record(2, "z", 1, name="n"), record(2, "c", 1, shard=1)])
        await journal.write([record(3)])
        if not journal.ordered:
            assert first == [Committed(0)] * 3
            with pytest.raises(NotImplementedError):
                await journal.log(0, 10)
            return
        logged = await journal.log(0, 10)
        wanted = [record(1), record(1, "b", shard=1), record(2), record(2, "c", 1, shard=1), record(3)]
        assert [entry.record for entry in logged] == wanted
        positions = [entry.position for entry in logged]
        assert positions == sorted(set(positions))
        assert [o.position for o in first if isinstance(o, Committed)] == positions[:3]
        assert await journal.log(positions[1], 2) == logged[2:4]
        assert await journal.log(positions[-1], 10) == []


class TestSnapshots:
    async def test_what_came_before_need_not_be_read(self, journal: Journal, other: Journal) -> None:
        await journal.write([record(n) for n in (1, 2, 3)])
        await journal.save_snapshots([Snapshot("k", "a", 2, b"two"), Snapshot("k", "b", 9, b"nine")])
        assert await other.load("k", "a") == (Snapshot("k", "a", 2, b"two"), [record(3)])
        assert await other.load("k", "b") == (Snapshot("k", "b", 9, b"nine"), [])

    async def test_an_older_one_is_not_kept(self, journal: Journal, other: Journal) -> None:
        await journal.write([record(n) for n in (1, 2, 3)])
        await journal.save_snapshots([Snapshot("k", "a", 2, b"two")])
        await other.save_snapshots([Snapshot("k", "a", 1, b"one")])
        assert (await journal.load("k", "a"))[0] == Snapshot("k", "a", 2, b"two")
        await other.save_snapshots([Snapshot("k", "a", 2, b"another two")])
        assert (await journal.load("k", "a"))[0] == Snapshot("k", "a", 2, b"two")
        await other.save_snapshots([Snapshot("k", "a", 3, b"three")])
        assert await journal.load("k", "a") == (Snapshot("k", "a", 3, b"three"), [])

    async def test_none(self, journal: Journal) -> None:
        await journal.save_snapshots([])


class TestShards:
    async def test_a_row_is_taken_only_as_it_was_read(self, journal: Journal, other: Journal) -> None:
        none = ShardRow("k", 0, 0, "", 0, b"")
        assert await journal.shard_rows([("k", 0), ("k", 1)]) == {}
        assert await journal.take_shards([none], "one", [3]) == [True]
        row = ShardRow("k", 0, 3, "one", 0, b"")
        assert await other.shard_rows([("k", 0), ("k", 1)]) == {("k", 0): row}
        assert await other.take_shards([none], "two", [4]) == [False]
        assert await other.take_shards([row._replace(epoch=2)], "two", [4]) == [False]
        assert await other.take_shards([row._replace(owner="three")], "two", [4]) == [False]
        assert await other.shard_rows([("k", 0)]) == {("k", 0): row}
        assert await other.take_shards([row], "two", [4]) == [True]
        assert await journal.take_shards([row], "one", [5]) == [False]
        assert await journal.shard_rows([("k", 0)]) == {("k", 0): ShardRow("k", 0, 4, "two", 0, b"")}

    async def test_some_of_several(self, journal: Journal) -> None:
        rows = [ShardRow("k", n, 0, "", 0, b"") for n in range(3)]
        await journal.take_shards(rows[1:2], "one", [1])
        assert await journal.take_shards(rows, "two", [2, 2, 2]) == [True, False, True]
        owners = {shard: row.owner for shard, row in (await journal.shard_rows([("k", n) for n in range(3)])).items()}
        assert owners == {("k", 0): "two", ("k", 1): "one", ("k", 2): "two"}

    async def test_a_checkpoint_is_kept_of_the_rows_owner_and_epoch_and_with_a_higher_count(
        self, journal: Journal, other: Journal
    ) -> None:
        await journal.take_shards([ShardRow("k", 0, 0, "", 0, b"")], "one", [3])
        mine = ShardRow("k", 0, 3, "one", 2, b"second")
        await journal.save_checkpoints([mine])
        assert await other.shard_rows([("k", 0)]) == {("k", 0): mine}
        for refused in (
            mine._replace(saved=1, checkpoint=b"first, late"),
            mine._replace(saved=2, checkpoint=b"another second"),
            mine._replace(saved=9, epoch=2, checkpoint=b"of an older epoch"),
            mine._replace(saved=9, epoch=4, checkpoint=b"of an epoch to come"),
            mine._replace(saved=9, owner="two", checkpoint=b"of somebody else"),
            mine._replace(saved=9, shard=1, checkpoint=b"of a shard without a row"),
        ):
            await other.save_checkpoints([refused])
            assert await journal.shard_rows([("k", 0), ("k", 1)]) == {("k", 0): mine}
        third = mine._replace(saved=3, checkpoint=b"third")
        await other.save_checkpoints([third])
        assert await journal.shard_rows([("k", 0)]) == {("k", 0): third}

    async def test_who_takes_a_row_finds_its_checkpoint_and_counts_anew(self, journal: Journal) -> None:
        await journal.take_shards([ShardRow("k", 0, 0, "", 0, b"")], "one", [3])
        row = ShardRow("k", 0, 3, "one", 7, b"seventh")
        await journal.save_checkpoints([row])
        assert await journal.take_shards([row._replace(saved=0, checkpoint=b"")], "two", [4]) == [True]
        assert await journal.shard_rows([("k", 0)]) == {("k", 0): ShardRow("k", 0, 4, "two", 0, b"seventh")}
        await journal.save_checkpoints([ShardRow("k", 0, 4, "two", 1, b"first")])
        assert (await journal.shard_rows([("k", 0)]))["k", 0].checkpoint == b"first"

    async def test_no_checkpoints(self, journal: Journal) -> None:
        await journal.save_checkpoints([])


class TestLeases:
    async def test_a_renewal_tells_the_databases_time(self, journal: Journal, other: Journal) -> None:
        first = await journal.renew("one", 2_000, [])
        second = await other.renew("two", 2_000, [])
        assert first.now > 1_600_000_000_000
        assert 0 <= second.now - first.now < 60_000
        assert (first.revoked, second.revoked) == ((), ())

    async def test_who_revokes_learns_when_the_lease_ends(self, journal: Journal, other: Journal) -> None:
        lease = await journal.renew("one", 60_000, [])
        now, until = await other.revoke("one", [("k", 0, 2)])
        assert until == lease.now + 60_000
        assert lease.now <= now < until

    async def test_the_owner_is_told_until_it_has_heard(self, journal: Journal, other: Journal) -> None:
        await journal.renew("one", 60_000, [])
        await journal.renew("two", 60_000, [])
        await other.revoke("one", [("k", 0, 2), ("k", 1, 5)])
        both = {("k", 0, 2), ("k", 1, 5)}
        assert set((await journal.renew("one", 60_000, [])).revoked) == both
        assert set((await journal.renew("one", 60_000, [])).revoked) == both
        assert (await journal.renew("two", 60_000, [("k", 0, 2)])).revoked == ()
        assert (await journal.renew("one", 60_000, [("k", 0, 2)])).revoked == (("k", 1, 5),)
        await other.revoke("one", [("k", 1, 6)])
        assert (await journal.renew("one", 60_000, [("k", 1, 5)])).revoked == (("k", 1, 6),)
        assert (await journal.renew("one", 60_000, [("k", 1, 6)])).revoked == ()

    async def test_the_same_revocation_twice_is_told_once(self, journal: Journal, other: Journal) -> None:
        await journal.renew("one", 60_000, [])
        await other.revoke("one", [("k", 0, 2)])
        await other.revoke("one", [("k", 0, 2)])
        assert (await journal.renew("one", 60_000, [])).revoked == (("k", 0, 2),)
        assert (await journal.renew("one", 60_000, [("k", 0, 2)])).revoked == ()

    async def test_an_owner_whose_lease_had_run_out_is_told_when_it_renews(
        self, journal: Journal, other: Journal
    ) -> None:
        """It may only have been stalled; nobody waited for it."""
        await journal.renew("one", 0, [])
        now, until = await other.revoke("one", [("k", 0, 2)])
        assert until <= now
        assert (await journal.renew("one", 60_000, [])).revoked == (("k", 0, 2),)

    async def test_nobody_waits_for_who_never_had_a_lease_or_ended_it(self, journal: Journal, other: Journal) -> None:
        now, until = await other.revoke("never", [("k", 0, 2)])
        assert until <= now
        await journal.renew("one", 60_000, [])
        await other.revoke("one", [("k", 0, 2)])
        await journal.end_lease("one")
        now, until = await other.revoke("one", [("k", 1, 2)])
        assert until <= now
        assert (await journal.renew("one", 60_000, [])).revoked == ()
