"""What decisions asked for: messages that arrived, effects that were answered, timers that fired; or did not yet."""

from typing import Any

from sqlalchemy import Connection, select

from actors.journal.tables import records
from actors.runtime.wire import Body, SentMessage, body_of
from serve.audit.findings import Findings
from serve.audit.replayed import Place, Replayed
from serve.audit.shards import Checkpoints
from serve.audit.sources import stream

FOUND = "SELECT 1 FROM records WHERE kind = ? AND entity = ? AND command_id = ?"


class Owed:
    """Looks for everything in the journal's one snapshot, so that a message is there or it is not."""

    def __init__(self, db: Connection, checkpoints: Checkpoints, findings: Findings) -> None:
        self._db = db
        self._checkpoints = checkpoints
        self._findings = findings
        self._messages = 0
        self._arrived = 0

    def take(self, one: Replayed, row: Any, body: Body) -> None:
        """What a record closes and what it opens."""
        self._close(one, row.command_id)
        place = Place(row.shard, row.seq)
        for index, sent in enumerate(body.sends):
            self._look_for(one, place, sent, f"m:{one.kind}/{one.id}/{row.version}/{index}")
        for index in range(len(body.effects)):
            one.effects[f"e:{row.version}/{index}"] = place
        for timer in body.timers:
            if timer.at:
                one.timers[timer.name] = (f"t:{row.version}/{timer.name}", place)
            else:
                one.timers.pop(timer.name, None)

    def note_open(self, one: Replayed) -> None:
        """At the end of an entity: what never came back is under way, or lost if its shard no longer knows of it."""
        for name, place in one.effects.items():
            if self._lost(one, place, name):
                self._findings.broken(f"An effect of the {one.name} was never answered and is forgotten: {name}.")
            else:
                self._findings.waits("effects that have not been answered", f"{one.name} {name}")
        for name, place in one.timers.values():
            if self._lost(one, place, name):
                self._findings.broken(f"A timer of the {one.name} never fired and is forgotten: {name}.")
            else:
                self._findings.waits("timers that are set", f"{one.name} {name}")

    def check_received(self) -> None:
        """That nobody has recorded a message which nobody sent; they are counted first, and rarely differ."""
        if self._messages == self._arrived:
            return
        columns = (records.c.kind, records.c.entity, records.c.command_id)
        for kind, entity, command_id in stream(self._db, select(*columns).where(records.c.command_id.startswith("m:"))):
            if not self._was_sent(kind, entity, command_id):
                self._findings.broken(f"The {kind} {entity} has recorded a message that nobody sent it: {command_id}.")

    def _close(self, one: Replayed, command_id: str) -> None:
        if command_id.startswith("m:"):
            self._messages += 1
        elif command_id.startswith("e:"):
            if one.effects.pop(command_id, None) is None:
                self._findings.broken(f"The {one.name} has recorded an answer to an effect that it never asked for.")
        elif command_id.startswith("t:"):
            name = command_id.partition("/")[2]
            if one.timers.get(name, ("", None))[0] == command_id:
                del one.timers[name]

    def _look_for(self, one: Replayed, place: Place, sent: SentMessage, command_id: str) -> None:
        found = self._db.exec_driver_sql(FOUND, (sent.kind, sent.entity, command_id)).first()
        self._findings.count("messages")
        if found is not None:
            self._arrived += 1
            return
        one.open_sends.append(sent)
        what = f"from {one.name} to {sent.kind} {sent.entity}"
        if self._lost(one, place, command_id):
            self._findings.broken(f"A message {what} never arrived and is forgotten: {command_id}.")
        else:
            self._findings.waits("messages that have not arrived", f"{what}: {command_id}")

    def _lost(self, one: Replayed, place: Place, name: str) -> bool:
        return self._checkpoints.lost((one.kind, place.shard), place.seq, one.id, name)

    def _was_sent(self, kind: str, entity: str, command_id: str) -> bool:
        address, _, index = command_id.removeprefix("m:").rpartition("/")
        address, _, version = address.rpartition("/")
        sender_kind, _, sender = address.partition("/")
        if not version.isdigit() or not index.isdigit():
            return False
        query = select(records).where(
            records.c.kind == sender_kind, records.c.entity == sender, records.c.version == int(version)
        )
        found = self._db.execute(query).first()
        if found is None:
            return False
        sends = body_of(found).sends  # type: ignore[arg-type]  # a row has what is needed of a record
        return int(index) < len(sends) and (sends[int(index)].kind, sends[int(index)].entity) == (kind, entity)
