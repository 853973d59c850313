"""The entities: versions without a gap, each command carried out once, and states as their events make them."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from actors.journal.tables import records, snapshots
from actors.runtime.kind import Kind, shard_of
from actors.runtime.wire import Body, Note
from pipelines import show_availability
from pipelines.log.base import Happened
from serve.audit.findings import Findings
from serve.audit.flows import Flows, Seen
from serve.audit.owed import Owed
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, stream

_body = msgspec.msgpack.Decoder(Body)
_NOTES = "#"
_KEPT = ("order", "payment")


class Entities:
    """All entities of one journal, a kind at a time, in order of their ids. `shards`: how many a kind has."""

    def __init__(
        self, db: Connection, shards: int, owed: Owed, flows: Flows, findings: Findings, tick: Callable[[], None]
    ) -> None:
        self._db = db
        self._shards = shards
        self._owed = owed
        self._flows = flows
        self._findings = findings
        self._tick = tick

    def replayed(self, kind: Kind) -> Iterator[Replayed]:
        """Each entity of a kind that has records, from its first record to its last."""
        query = (
            select(records)
            .where(records.c.kind == kind.name, ~records.c.entity.startswith(_NOTES))
            .order_by(records.c.entity, records.c.version)
        )
        kept = select(snapshots).where(snapshots.c.kind == kind.name).order_by(snapshots.c.entity)
        beside: Beside[Any] = Beside(stream(self._db, kept), lambda row: str(row.entity), self._stray)
        for entity, rows in groupby(stream(self._db, query), lambda row: str(row.entity)):
            yield self._replay(kind, entity, rows, next(iter(beside.at(entity)), None))
        beside.end()

    def _stray(self, row: Any) -> None:
        self._findings.broken(f"There is a snapshot of {row.kind} {row.entity}, which has no records.")

    def _replay(self, kind: Kind, entity: str, rows: Iterator[Any], snapshot: Any) -> Replayed:
        one = Replayed(kind.name, entity, kind.initial(entity))
        for row in rows:
            self._tick()
            self._check_place(one, row)
            body = self._body_of(one, row)
            if body is not None:
                self._owed.take(one, row, body)
                self._apply(kind, one, row, body)
            one.version = row.version
            if snapshot is not None and snapshot.version == row.version and one.readable:
                self._check_snapshot(kind, one, snapshot.state)
        if snapshot is not None and snapshot.version > one.version:
            self._findings.broken(
                f"There is a snapshot of {one.name} at version {snapshot.version}; its last record is {one.version}."
            )
        self._owed.note_open(one)
        self._findings.count(f"{kind.name} entities")
        return one

    def _check_place(self, one: Replayed, row: Any) -> None:
        if row.version == one.version + 2:
            self._findings.broken(f"The {one.name} has no record of version {row.version - 1}.")
        elif row.version > one.version + 2:
            self._findings.broken(f"The {one.name} has no records of versions {one.version + 1} to {row.version - 1}.")
        elif row.version <= one.version:
            self._findings.broken(f"The {one.name} has two records of version {row.version}.")
        if row.command_id in one.commands:
            self._findings.broken(f"The {one.name} has carried out the command {row.command_id} twice.")
        one.commands.add(row.command_id)
        expected = shard_of(one.id, self._shards) if self._shards else row.shard
        if row.shard != expected and row.shard != one.shard:
            self._findings.broken(f"The {one.name} has records in shard {row.shard} and belongs into {expected}.")
        one.shard = row.shard

    def _body_of(self, one: Replayed, row: Any) -> Body | None:
        try:
            body = _body.decode(row.body)
        except msgspec.MsgspecError as error:
            self._unreadable(one, row.version, error)
            return None
        if body.note is not Note.DECISION:
            self._findings.broken(f"Version {row.version} of the {one.name} is no decision.")
            return None
        if body.at < one.at:
            self._findings.broken(f"Version {row.version} of the {one.name} is older than the one before it.")
        one.at = max(one.at, body.at)
        return body

    def _apply(self, kind: Kind, one: Replayed, row: Any, body: Body) -> None:
        for index, encoded in enumerate(body.events):
            if not one.readable:
                return
            try:
                event = kind.event(encoded)
                one.state = kind.apply(one.state, event)
            except Exception as error:  # whatever the rules raise on events that they never wrote
                self._unreadable(one, row.version, error)
                return
            self._note(one, Seen(Happened(row.position, one.kind, one.id, row.version, index, body.at, encoded), event))

    def _note(self, one: Replayed, seen: Seen) -> None:
        one.waits_for_flows = self._flows.note_pending(seen, self._findings) or one.waits_for_flows
        if one.kind in _KEPT:
            one.events.append(seen)
        elif self._flows.wants(show_availability.NAME, seen):
            one.available = seen

    def _unreadable(self, one: Replayed, version: int, error: Exception) -> None:
        if one.readable:
            self._findings.broken(
                f"The {one.name} cannot be replayed to version {version}: {type(error).__name__}: {error}."
            )
        one.readable = False

    def _check_snapshot(self, kind: Kind, one: Replayed, encoded: bytes) -> None:
        try:
            kept = kind.state_of(encoded)
        except msgspec.MsgspecError as error:
            self._findings.broken(f"The snapshot of {one.name} cannot be read: {error}.")
            return
        if kept != one.state:
            self._findings.broken(
                f"The snapshot of {one.name} at version {one.version} is not what its events make of it."
            )
