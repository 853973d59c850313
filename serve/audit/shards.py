"""The shards: numbers without a gap, epochs that only claims raise, and what each checkpoint says is open."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from actors.journal.base import ShardId
from actors.journal.tables import records, shards
from actors.runtime.open_work import OpenWork
from serve.audit.findings import Findings
from serve.audit.sources import stream


class Checkpoints:
    """What the shards' checkpoints say: a piece of open work that one neither lists nor is too old for is lost."""

    def __init__(self) -> None:
        self._open: dict[ShardId, OpenWork] = {}
        self._names: dict[ShardId, frozenset[tuple[str, str]]] = {}
        self.count = 0

    def add(self, shard: ShardId, work: OpenWork) -> None:
        sends = {(send.entity, send.command_id(shard[0])) for queue in work.sends.values() for send in queue}
        timers = {(timer.entity, timer.command_id) for timer in work.timers.values()}
        parked = {(send.entity, send.command_id(shard[0])) for send in work.parked}
        self._open[shard] = work
        self._names[shard] = frozenset(sends | timers | parked | set(work.effects))
        self.count = max(self.count, shard[1] + 1)

    def lost(self, shard: ShardId, seq: int, entity: str, name: str) -> bool:
        """Nobody will see to the work that the shard's record `seq` opened under this name."""
        work = self._open.get(shard)
        return work is not None and seq <= work.seq and (entity, name) not in self._names[shard]


def check_shards(db: Connection, findings: Findings, tick: Callable[[], None]) -> Checkpoints:
    """Walks all records in the order of their shards, and looks at the shards' own rows."""
    last = _check_records(db, findings, tick)
    checkpoints = Checkpoints()
    for row in db.execute(select(shards)):
        shard = (row.kind, row.shard)
        name = f"Shard {row.kind}/{row.shard}"
        seq, epoch = last.get(shard, (0, 0))
        if row.epoch > epoch:
            findings.broken(f"{name} has an owner of epoch {row.epoch}, and no record is newer than epoch {epoch}.")
        elif row.epoch < epoch:
            findings.waits("shards that are being taken over", name)
        _take_checkpoint(row, shard, seq, checkpoints, findings)
    return checkpoints


def _take_checkpoint(row: Any, shard: ShardId, seq: int, checkpoints: Checkpoints, findings: Findings) -> None:
    name = f"Shard {row.kind}/{row.shard}"
    try:
        work = OpenWork(row.checkpoint)
    except msgspec.MsgspecError as error:
        findings.broken(f"{name} has a checkpoint that cannot be read: {error}.")
        return
    checkpoints.add(shard, work)
    if work.seq > seq:
        findings.broken(f"{name} has a checkpoint of record {work.seq}, and its last record is {seq}.")
    for send in work.parked:
        findings.broken(
            f"A message from {row.kind} {send.entity} to {send.kind} {send.receiver} was too old to be delivered, "
            f"and is parked: {send.command_id(row.kind)}."
        )


def _check_records(db: Connection, findings: Findings, tick: Callable[[], None]) -> dict[ShardId, tuple[int, int]]:
    """The last number and epoch of each shard."""
    columns = (records.c.kind, records.c.shard, records.c.seq, records.c.epoch, records.c.entity, records.c.command_id)
    last: dict[ShardId, tuple[int, int]] = {}
    for kind, number, seq, epoch, entity, command_id in stream(
        db, select(*columns).order_by(records.c.kind, records.c.shard, records.c.seq)
    ):
        tick()
        shard = (kind, number)
        before, era = last.get(shard, (0, 0))
        name = f"Shard {kind}/{number}"
        if seq == before + 2:
            findings.broken(f"{name} has no record {before + 1}.")
        elif seq > before + 2:
            findings.broken(f"{name} has no records {before + 1} to {seq - 1}.")
        elif seq <= before:
            findings.broken(f"{name} has two records with the number {seq}.")
        claims = entity.startswith("#") and command_id.startswith("claim:")
        if epoch < era:
            findings.broken(f"{name}: record {seq} is of epoch {epoch}, after one of epoch {era}: a fenced write.")
        elif epoch > era and not claims:
            findings.broken(f"{name}: record {seq} is of epoch {epoch}, and nobody claimed the shard for it.")
        elif claims and epoch <= era:
            findings.broken(f"{name}: record {seq} claims epoch {epoch}, which is not a new one.")
        last[shard] = (seq, max(epoch, era))
    return last
