"""What a database of documents does that no other does: it writes bit by bit, and reads may be stale."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from actors.journal.base import Committed, NotWritten, Outcome, Unknown
from actors.runtime.wire import Record
from tests.simulation.database import Database
from tests.simulation.documents import DocumentJournal
from tests.simulation.journal import Trouble
from tests.simulation.loop import VirtualLoop


def record(seq: int, epoch: int = 1) -> Record:
    return Record(b"%d/%d" % (epoch, seq), "cart", 0, seq, epoch, "c", seq, f"c:{epoch}/{seq}", b"")


def both(seed: int, act: Callable[[DocumentJournal, DocumentJournal, Trouble], Awaitable[None]]) -> Database:
    """Two clients of one database in a loop of their own."""
    loop = VirtualLoop()
    database, trouble = Database(lambda: 0), Trouble(0.01)
    one, other = (DocumentJournal(database, trouble, Random(f"{seed}/{name}")) for name in ("one", "other"))

    async def main() -> None:
        await act(one, other, trouble)

    loop.run(main())
    return database


def seen_by(seeds: int, look: Callable[[int], Any]) -> set[Any]:
    return {look(seed) for seed in range(seeds)}


def test_another_may_write_between_two_documents_of_one_insertion() -> None:
    def look(seed: int) -> tuple[int, tuple[type[Outcome], ...]]:
        said: list[list[Outcome]] = []

        async def act(one: DocumentJournal, other: DocumentJournal, _: Trouble) -> None:
            mine, rival = [record(n) for n in (1, 2, 3)], [record(2, epoch=2)]
            said.extend(await asyncio.gather(one.write(mine), other.write(rival)))

        written = both(seed, act).records
        return len([one for one in written if one.epoch == 1]), tuple(type(outcome) for outcome in said[0])

    found = seen_by(40, look)
    assert (3, (Committed, Committed, Committed)) in found
    between = [outcomes for count, outcomes in found if count == 1]
    assert between
    assert all(outcomes[0] is Committed and outcomes[2] is NotWritten for outcomes in between)


def test_what_fails_has_written_the_first_few() -> None:
    def look(seed: int) -> tuple[int, ...]:
        async def act(one: DocumentJournal, _: DocumentJournal, trouble: Trouble) -> None:
            trouble.fails, trouble.lost = 1.0, 1.0
            assert await one.write([record(n) for n in (1, 2, 3)]) == [Unknown()] * 3

        return tuple(one.seq for one in both(seed, act).records)

    assert seen_by(40, look) == {(), (1,), (1, 2), (1, 2, 3)}


def test_a_read_may_miss_what_another_wrote_but_not_what_this_client_saw() -> None:
    def look(seed: int) -> tuple[int, int, int]:
        found: list[int] = []

        async def act(one: DocumentJournal, other: DocumentJournal, trouble: Trouble) -> None:
            trouble.stale = 0.9
            await one.write([record(1), record(2)])
            found.append(len((await one.load("cart", "c"))[1]))
            await other.write([record(3), record(4)])
            found.append(len((await one.load("cart", "c"))[1]))
            await one.last_records([("cart", 0)])
            found.append(len((await one.load("cart", "c"))[1]))

        both(seed, act)
        return found[0], found[1], found[2]

    found = seen_by(60, look)
    assert found == {(2, stale, 4) for stale in (2, 3, 4)}
