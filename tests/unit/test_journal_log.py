"""The journal as event log: what this process wrote itself, and what others did."""

from pathlib import Path

import pytest

from actors.decision import Done
from actors.journal.base import Committed
from actors.journal.sql import SqlJournal
from actors.runtime.wire import Body, Note, Record, encode
from pipelines.log.sql import JournalLog, Tail


def record(number: int, note: Note = Note.DECISION) -> Record:
    events = (encode(Done()),) if note is Note.DECISION else ()
    entity = f"e{number}"
    body = encode(Body(number, note, events=events))
    return Record(number.to_bytes(16, "big"), "k", 0, number, 1, entity, 1, f"c{number}", body)


class Counting(SqlJournal):
    reads = 0

    async def log(self, after: int, limit: int):  # type: ignore[no-untyped-def]
        self.reads += 1
        return await super().log(after, limit)


@pytest.fixture
async def journal(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Counting(str(tmp_path / "journal.db"))
    await made.setup()
    yield made
    await made.close()


async def write(journal: SqlJournal, number: int, tail: Tail | None = None, note: Note = Note.DECISION) -> None:
    """By this process if it has a tail, else by another."""
    written = record(number, note)
    (outcome,) = await journal.write([written])
    assert isinstance(outcome, Committed)
    if tail is not None:
        tail.append(outcome.position, written)


async def positions(log: JournalLog, after: int) -> list[int]:
    return [happened.position for happened in await log.read(after, 100)]


async def test_who_is_alone_reads_the_journal_once_and_then_its_own_tail(journal: Counting) -> None:
    tail = Tail()
    log = JournalLog(journal, tail, lambda: True)
    await write(journal, 1)
    assert await positions(log, 0) == [1]
    assert await positions(log, 1) == []
    before = journal.reads
    assert await positions(log, 1) == []
    await write(journal, 2, tail)
    await write(journal, 3, tail)
    assert await positions(log, 1) == [2, 3]
    assert await positions(log, 3) == []
    assert journal.reads == before


async def test_what_others_wrote_between_is_read(journal: Counting) -> None:
    tail = Tail()
    log = JournalLog(journal, tail)
    await write(journal, 1, tail)
    assert await positions(log, 0) == [1]
    await write(journal, 2)
    assert await positions(log, 1) == [2]
    await write(journal, 3)
    await write(journal, 4, tail)
    assert await positions(log, 2) == [3, 4]


async def test_who_has_just_become_alone_looks_for_what_the_other_wrote_last(journal: Counting) -> None:
    tail, alone = Tail(), [False]
    log = JournalLog(journal, tail, lambda: alone[0])
    await write(journal, 1, tail)
    assert await positions(log, 0) == [1]
    await write(journal, 2)
    alone[0] = True
    assert await positions(log, 1) == [2]
    alone[0] = False
    assert await positions(log, 2) == []
    await write(journal, 3)
    alone[0] = True
    assert await positions(log, 2) == [3]


async def test_claims_and_answers_without_events_are_passed_over(journal: Counting) -> None:
    log = JournalLog(journal, Tail(), lambda: True)
    for number in range(1, 8):
        await write(journal, number, note=Note.CLAIM)
    await write(journal, 8)
    assert [happened.position for happened in await log.read(0, 3)] == [8]
    assert await positions(log, 8) == []
