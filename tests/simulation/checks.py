"""What must be so once everything has settled: the runtime's promises, as the journal shows them."""

from collections.abc import Iterator
from typing import Any

from actors.journal.base import ShardId
from actors.kinds import KINDS
from actors.runtime.wire import Body, Note, Record, body_of, encode
from tests.simulation.database import Databases
from tests.simulation.ledger import EntityId, Ledger

Entities = dict[EntityId, list[tuple[Record, Body]]]


def entities_of(database: Databases) -> Entities:
    """The records of each entity, in the order in which they were written."""
    found: Entities = {}
    for record in database.records:
        body = body_of(record)
        if body.note is Note.DECISION:
            found.setdefault((record.kind, record.entity), []).append((record, body))
    return found


def check_shards(database: Databases, shards: list[ShardId]) -> Iterator[str]:
    """Sequences without a gap, epochs that grow, each record in the epoch of the claim before it."""
    for kind, number in shards:
        expected, epoch, released = 1, 0, True
        for record in database.shard_records(kind, number, 0):
            note = body_of(record).note
            where = f"shard {kind}/{number} at {record.seq}"
            if record.seq != expected:
                yield f"{where}: {expected} is missing"
            if note is Note.CLAIM:
                if record.epoch <= epoch:
                    yield f"{where}: a claim of epoch {record.epoch} after {epoch}"
                released = False
            elif record.epoch != epoch:
                yield f"{where}: epoch {record.epoch} under a claim of {epoch}"
            elif released:
                yield f"{where}: a record after the release"
            if note is Note.RELEASE:
                released = True
            expected, epoch = record.seq + 1, record.epoch


def check_entities(entities: Entities) -> Iterator[str]:
    """Versions without a gap, in order, at times that never run backwards."""
    for (kind, entity), records in entities.items():
        at = 0
        for expected, (record, body) in enumerate(records, start=1):
            if record.version != expected:
                yield f"{kind}/{entity}: version {record.version} where {expected} was due"
                break
            if body.at < at:
                yield f"{kind}/{entity}: time runs back at version {record.version}"
            at = body.at


def check_acknowledged(database: Databases, ledger: Ledger) -> Iterator[str]:
    """What a caller was told under a key stands in the journal, word for word."""
    for (kind, entity, command_id), told in ledger.told.items():
        record = database.record_of_command(kind, entity, command_id)
        if record is None:
            yield f"command {command_id} of {kind}/{entity} was acknowledged and has no record"
        elif (body_of(record).reply, record.version) != told:
            yield f"command {command_id} of {kind}/{entity} was told {told}, its record is version {record.version}"
    for (kind, entity), floor in ledger.floors.items():
        records = database.entity_records(kind, entity)
        if floor > (records[-1].version if records else 0):
            yield f"{kind}/{entity}: version {floor} was seen and is not there"


def check_views(entities: Entities, ledger: Ledger) -> Iterator[str]:
    """What readers were shown is what had been committed, version for version."""
    for (kind, entity), views in ledger.views.items():
        rules = KINDS[kind]
        state = rules.initial(entity)
        made = {0: encode(rules.view(state))}
        for record, body in entities.get((kind, entity), []):
            for event in body.events:
                state = rules.apply(state, rules.event(event))
            if record.version in views:
                made[record.version] = encode(rules.view(state))
        for version, shown in views.items():
            if made.get(version) != shown:
                yield f"version {version} of {kind}/{entity} was shown as {shown!r}, it is {made.get(version)!r}"


def check_messages(database: Databases, entities: Entities) -> Iterator[str]:
    """Every message arrived, and from one entity to another in the order sent."""
    for (kind, entity), records in entities.items():
        last: dict[EntityId, int] = {}
        for record, body in records:
            for index, sent in enumerate(body.sends):
                name = f"m:{kind}/{entity}/{record.version}/{index}"
                received = database.record_of_command(sent.kind, sent.entity, name)
                to = (sent.kind, sent.entity)
                if received is None:
                    yield f"message {name} never reached {sent.kind}/{sent.entity}"
                elif received.version <= last.get(to, 0):
                    yield f"message {name} overtook an earlier one to {sent.kind}/{sent.entity}"
                else:
                    last[to] = received.version


def check_effects_and_timers(database: Databases, entities: Entities, now: int) -> Iterator[str]:
    """Every effect was answered, every timer that was not replaced or cleared went off, none of them early."""
    for (kind, entity), records in entities.items():
        timers: dict[str, tuple[int, int]] = {}
        for record, body in records:
            if record.command_id.startswith("t:"):
                version, _, name = record.command_id[2:].partition("/")
                if timers.get(name, (0, 0))[0] == int(version) and body.at < timers.pop(name)[1]:
                    yield f"timer {name} of {kind}/{entity} went off early"
            for index in range(len(body.effects)):
                effect = f"e:{record.version}/{index}"
                if database.record_of_command(kind, entity, effect) is None:
                    yield f"effect {effect} of {kind}/{entity} was never answered"
            for timer in body.timers:
                timers.pop(timer.name, None)
                if timer.at:
                    timers[timer.name] = (record.version, timer.at)
        for name, (set_by, at) in timers.items():
            if at < now - 60_000:
                yield f"timer {name} of {kind}/{entity}, set at version {set_by}, never went off"


def check_snapshots(database: Databases, entities: Entities) -> Iterator[str]:
    """A snapshot is what the events before it make."""
    for (kind, entity), snapshot in database.snapshots.items():
        state = state_at(kind, entity, entities, snapshot.version)
        if KINDS[kind].state_of(snapshot.state) != state:
            yield f"the snapshot of {kind}/{entity} at version {snapshot.version} is not what its events make"


def state_at(kind: str, entity: str, entities: Entities, version: int | None = None) -> Any:
    """The state at a version (None: now), made of the events alone."""
    rules = KINDS[kind]
    state = rules.initial(entity)
    for record, body in entities.get((kind, entity), []):
        if version is not None and record.version > version:
            break
        for event in body.events:
            state = rules.apply(state, rules.event(event))
    return state
