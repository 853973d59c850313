"""How a host takes shards over, and how it hands them on.

The first act is a claim in the shard's own sequence: from then on the journal refuses every write of the incarnation
before. Then the old owner is told through its lease row, its lease is waited out, the shard's row is taken, and only
then is anything loaded, answered or sent. A release as the last record says that there is nobody to wait for.
"""

from collections.abc import Sequence

import msgspec

from actors.journal.base import Committed, Conflict, ShardId, ShardRow, Unknown
from actors.runtime.kind import Kind
from actors.runtime.open_work import OpenWork
from actors.runtime.parts import Parts
from actors.runtime.shard import Shard
from actors.runtime.wire import Body, Note, Record, body_of, encode

PAGE = 1000


class Claimed(msgspec.Struct):
    """A shard whose claim is committed."""

    id: ShardId
    record: Record
    released: bool


async def take_over(ids: Sequence[ShardId], owner: str, kinds: dict[str, Kind], parts: Parts) -> list[Shard]:
    """Takes what can be had: a shard that a newer incarnation claims meanwhile is left to it.

    Raises JournalUnavailable; what was claimed by then is claimed again, by whoever tries next.
    """
    claimed = await _claim(ids, parts)
    rows = await parts.journal.shard_rows([c.id for c in claimed])
    await _wait_for_readers(claimed, rows, parts)
    taken = await parts.journal.take_shards(
        [rows.get(c.id) or ShardRow(*c.id, 0, "", 0, b"") for c in claimed], owner, [c.record.epoch for c in claimed]
    )
    shards = []
    for claim, had in zip(claimed, taken, strict=True):
        if had:
            row = rows.get(claim.id)
            shards.append(await _recover(claim, row.checkpoint if row else b"", kinds, parts))
    return shards


async def _claim(ids: Sequence[ShardId], parts: Parts) -> list[Claimed]:
    last = await _last_records(ids, parts)
    epochs = {shard: _epoch(last.get(shard)) for shard in ids}
    claimed: list[Claimed] = []
    left = list(ids)
    while left:
        records = [_note(Note.CLAIM, shard, last.get(shard), 1, parts) for shard in left]
        outcomes = await write_until_known(parts, records)
        refused = []
        for shard, record, outcome in zip(left, records, outcomes, strict=True):
            if outcome:
                before = last.get(shard)
                released = before is None or body_of(before).note is Note.RELEASE
                claimed.append(Claimed(shard, record, released))
            else:
                refused.append(shard)
        # The old incarnation may have taken the number, being alive: then again. A newer claim is left its shard.
        last = await _last_records(refused, parts) if refused else {}
        left = [shard for shard in refused if _epoch(last.get(shard)) == epochs[shard]]
    return claimed


async def _last_records(ids: Sequence[ShardId], parts: Parts) -> dict[ShardId, Record]:
    """Time goes on from them, also if the database's clock was set back since: it never runs backwards in a shard."""
    last = await parts.journal.last_records(ids)
    for record in last.values():
        parts.time.reach(body_of(record).at)
    return last


def _epoch(record: Record | None) -> int:
    return record.epoch if record else 0


def _note(note: Note, shard: ShardId, last: Record | None, epochs: int, parts: Parts) -> Record:
    kind, number = shard
    seq = (last.seq if last else 0) + 1
    token = parts.entropy.token()
    return Record(
        record_id=token,
        kind=kind,
        shard=number,
        seq=seq,
        epoch=(last.epoch if last else 0) + epochs,
        entity=f"#{number}",
        version=seq,
        command_id=f"{note.name.lower()}:{token.hex()}",
        body=encode(Body(parts.time.now(), note)),
    )


async def write_until_known(parts: Parts, records: list[Record]) -> list[bool]:
    """Which of these, each of another shard, were committed."""
    committed = [False] * len(records)
    left = list(range(len(records)))
    delay = parts.limits.retry_first
    while left:
        outcomes = await parts.journal.write([records[n] for n in left])
        unsure = []
        for n, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Committed):
                committed[n] = True
            elif isinstance(outcome, Conflict):
                committed[n] = outcome.standing == records[n]
            elif isinstance(outcome, Unknown):
                unsure.append(n)
        left = unsure
        if left:
            await parts.clock.sleep(delay)
            delay = min(2 * delay, parts.limits.retry_most)
    return committed


async def _wait_for_readers(claimed: list[Claimed], rows: dict[ShardId, ShardRow], parts: Parts) -> None:
    """Until no earlier owner can still believe that it may answer reads."""
    told: dict[str, list[tuple[str, int, int]]] = {}
    for claim in claimed:
        row = rows.get(claim.id)
        if row is not None and not claim.released:
            told.setdefault(row.owner, []).append((*claim.id, claim.record.epoch))
    longest = 0
    for owner, some in told.items():
        now, until = await parts.journal.revoke(owner, some)
        longest = max(longest, until - now)
    if longest > 0:
        await parts.clock.sleep(longest / 1000 + 0.01)


async def _recover(claim: Claimed, checkpoint: bytes, kinds: dict[str, Kind], parts: Parts) -> Shard:
    owed = OpenWork(checkpoint)
    kind, number = claim.id
    while True:
        page = await parts.journal.shard_records(kind, number, owed.seq, PAGE)
        for record in page:
            owed.note(record, body_of(record))
        if len(page) < PAGE:
            break
    return Shard(kinds[kind], number, claim.record.epoch, claim.record.seq, owed, parts)


async def release(shards: Sequence[Shard], parts: Parts) -> None:
    """Hands closed shards over in order: their last outcomes are known, their open work kept, their end written."""
    await parts.journal.save_checkpoints([checkpoint_of(shard, parts) for shard in shards])
    ends = [
        _note(Note.RELEASE, shard.id, Record(b"", *shard.id, shard.seq, shard.epoch, "", 0, "", b""), 0, parts)
        for shard in shards
    ]
    await write_until_known(parts, ends)


def checkpoint_of(shard: Shard, parts: Parts) -> ShardRow:
    shard.checkpoints += 1
    shard.owed.changed = False
    return ShardRow(*shard.id, shard.epoch, parts.lease.owner, shard.checkpoints, shard.owed.checkpoint())
