"""One shard: the entities of one kind whose ids fall into it, with exactly one writer.

Deciding is synchronous, so commands to an entity run one at a time in the order in which they came, and nothing is
awaited between reading a state and deciding on it. What a decision says becomes visible when its record is committed.
"""

import logging
from collections import OrderedDict

from actors.decision import ClearTimer, Context, Decision
from actors.runtime.entity import FAILED, KEY_REUSED, MOVED, OVERLOADED, TOO_OLD, UNAVAILABLE, Entity, Pending, Work
from actors.runtime.kind import Kind
from actors.runtime.open_work import OpenWork
from actors.runtime.parts import Parts
from actors.runtime.ports import Done
from actors.runtime.showing import Showing
from actors.runtime.waking import Waking
from actors.runtime.wire import Body, Envelope, Mode, Record, SentMessage, Status, TimerNote, encode

_log = logging.getLogger("troupe.runtime")


class RecordTooLarge(Exception):
    """A decision that does not fit into a record."""


class Shard:
    """`seq` is the number of the shard's last committed record."""

    def __init__(self, kind: Kind, number: int, epoch: int, seq: int, owed: OpenWork, parts: Parts) -> None:
        self.kind = kind
        self.number = number
        self.epoch = epoch
        self.seq = seq
        self.owed = owed
        self.parts = parts
        self.checkpoints = 0
        self.closed = False
        self.leaving = False
        self.pending = 0
        self.entities: dict[str, Entity] = {}
        self.waking = Waking(self)
        self.showing = Showing(kind, parts)
        self._under_way: dict[tuple[str, str], Pending] = {}
        self._recent: OrderedDict[tuple[str, str], tuple[bytes, bytes, int]] = OrderedDict()

    @property
    def id(self) -> tuple[str, int]:
        return self.kind.name, self.number

    # what comes in

    def accept(self, envelope: Envelope, done: Done) -> None:
        """Takes a command; `done` is called once, now or later."""
        if self.closed or self.leaving:
            done(MOVED)
            return
        work = Work(envelope, done)
        name = envelope.entity
        if name in self.waking:
            if envelope.mode is not Mode.MESSAGE and self.waking.waiting(name) >= self.parts.limits.mailbox:
                done(OVERLOADED)
            else:
                self.waking.add(work)
            return
        entity = self.entities.get(name)
        if entity is None and envelope.creates and not work.again:
            entity = self.entities[name] = Entity(name, self.kind.initial(name))
            entity.proven = False
        if entity is not None and (not work.again or self.knows(work)):
            self.handle(entity, work)
        elif envelope.mode is not Mode.MESSAGE and len(self.waking) >= self.parts.limits.mailbox:
            done(OVERLOADED)
        else:
            self.waking.add(work)

    def knows(self, work: Work) -> bool:
        """Whether memory alone tells that the command is under way or was carried out."""
        key = (work.envelope.entity, work.envelope.command_id)
        return work.envelope.mode in (Mode.READ, Mode.WATCH) or key in self._under_way or key in self._recent

    def handle(self, entity: Entity, work: Work) -> None:
        """Answers or decides, at once; the entity is in memory."""
        envelope = work.envelope
        entity.used = self.parts.clock.monotonic()
        if envelope.mode is Mode.READ:
            if entity.proven or entity.pending:
                work.done(self.showing.view(entity, envelope.number))
            else:
                self._load_after_all(entity, work)
            return
        if envelope.mode is Mode.WATCH:
            self.showing.watch(work, envelope.number, entity)
            return
        key = (envelope.entity, envelope.command_id)
        earlier = self._under_way.get(key)
        if earlier is not None:
            self._join(earlier, work)
            return
        past = self._recent.get(key)
        if past is not None:
            self._repeat(work, *past)
            return
        if self._too_much(entity, envelope):
            work.done(OVERLOADED)
            return
        if envelope.at and self.parts.time.now() - envelope.at > self.parts.limits.receiver_age_ms:
            work.done(TOO_OLD)
            return
        if envelope.command_id.startswith("t:") and self._is_over(entity, envelope.command_id):
            # Who fires timers looks again later, and finds it gone.
            work.done(UNAVAILABLE)
            return
        self._decide(entity, work, key)

    def _is_over(self, entity: Entity, command_id: str) -> bool:
        """Whether a timer was cleared or replaced, be it by a decision that is not committed yet."""
        timer = self.owed.timer_of(entity.id, command_id)
        return timer is None or any(note.name == timer.name for p in entity.pending or () for note in p.body.timers)

    def _too_much(self, entity: Entity, envelope: Envelope) -> bool:
        if envelope.mode is Mode.MESSAGE:
            return False
        limits = self.parts.limits
        return entity.waiting >= limits.mailbox or self.parts.committer.backlog >= limits.crowd

    def _join(self, earlier: Pending, work: Work) -> None:
        if work.envelope.fingerprint != earlier.work.envelope.fingerprint:
            work.done(KEY_REUSED)
        elif self._too_much(earlier.entity, work.envelope):
            work.done(OVERLOADED)
        else:
            earlier.entity.waiting += 1
            if earlier.joined is None:
                earlier.joined = []
            earlier.joined.append(work)

    def answer_again(self, work: Work, body: Body, version: int) -> None:
        """The command was carried out before: its first reply."""
        self._repeat(work, body.fingerprint, body.reply, version)

    def _repeat(self, work: Work, fingerprint: bytes, reply: bytes, version: int) -> None:
        if work.envelope.fingerprint != fingerprint:
            work.done(KEY_REUSED)
        else:
            self.showing.answer(work, Status.REPEATED, reply, version)

    # deciding

    def _decide(self, entity: Entity, work: Work, key: tuple[str, str]) -> None:
        envelope = work.envelope
        now = max(self.parts.time.now(), entity.at)
        try:
            command = self.kind.command(envelope.command)
            decision = self.kind.decide(entity.ahead, command, Context(now, entity.id, envelope.command_id))
            state = entity.ahead
            for event in decision.events:
                state = self.kind.apply(state, event)
            if self._leaves_nothing(decision, envelope):
                self._answer_behind(entity, work, encode(decision.reply))
                return
            body, encoded = self._record(decision, envelope, now)
        except Exception:
            # A defect of the rules stops nobody else: a shopper is told, a message is tried again and shown.
            _log.exception("deciding a command of %s/%s failed", self.kind.name, entity.id)
            work.done(FAILED)
            return
        pending = Pending(entity, work, state, body, encoded, self.parts.entropy.token())
        if entity.pending is None:
            entity.pending = [pending]
        else:
            entity.pending.append(pending)
        entity.ahead = state
        entity.at = now
        entity.waiting += pending.places
        self._under_way[key] = pending
        self.pending += 1
        self.parts.committer.add(self, pending)

    def _leaves_nothing(self, decision: Decision, envelope: Envelope) -> bool:
        if decision.events or decision.sends or decision.timers or decision.effects:
            return False
        if envelope.mode is Mode.MESSAGE:
            # Only a record says that a message, timer or effect is done with, whatever the rule thinks of its answer.
            return False
        return decision.transient or not envelope.keyed

    def _record(self, decision: Decision, envelope: Envelope, now: int) -> tuple[Body, bytes]:
        body = Body(
            at=now,
            fingerprint=envelope.fingerprint,
            reply=encode(decision.reply),
            events=tuple([encode(event) for event in decision.events]),
            sends=tuple([SentMessage(s.kind, s.id, encode(s.message), s.creates) for s in decision.sends]),
            timers=tuple(
                [
                    TimerNote(t.name, 0) if isinstance(t, ClearTimer) else TimerNote(t.name, t.at, encode(t.command))
                    for t in decision.timers
                ]
            ),
            effects=tuple([encode(effect.request) for effect in decision.effects]),
        )
        encoded = encode(body)
        if len(encoded) > self.parts.limits.record_bytes:
            raise RecordTooLarge(f"a decision of {len(encoded)} bytes does not fit into a record")
        return body, encoded

    def _answer_behind(self, entity: Entity, work: Work, reply: bytes) -> None:
        """A reply without a record leaves once all is committed that it was decided on."""
        if entity.pending:
            last = entity.pending[-1]
            if last.tails is None:
                last.tails = []
            last.tails.append((work, reply))
            entity.waiting += 1
        elif not entity.proven:
            self._load_after_all(entity, work)
        elif self.parts.lease.valid():
            self.showing.answer(work, Status.OK, reply, entity.version)
        else:
            # No record proves that the shard is still this host's, so it is no better than a read.
            work.done(UNAVAILABLE)

    def _load_after_all(self, entity: Entity, work: Work) -> None:
        """It was said to be new, but the message that said so may have come late: only the journal knows."""
        del self.entities[entity.id]
        self.waking.add(work)

    # what the committer tells

    def number_record(self, pending: Pending, offset: int) -> Record:
        """The record of a decision, as the `offset`-th of its shard in the batch that is being sealed."""
        pending.record = Record(
            record_id=pending.record_id,
            kind=self.kind.name,
            shard=self.number,
            seq=self.seq + offset,
            epoch=self.epoch,
            entity=pending.entity.id,
            version=pending.version,
            command_id=pending.work.envelope.command_id,
            body=pending.encoded,
        )
        return pending.record

    def committed(self, pending: Pending, record: Record) -> None:
        """The record is durable: now its effects may be seen."""
        entity = pending.entity
        assert entity.pending is not None
        entity.pending.pop(0)
        entity.waiting -= pending.places
        entity.state = pending.state
        entity.proven = True
        entity.version = record.version
        if not entity.pending:
            entity.pending = None
        self.seq = record.seq
        self.pending -= 1
        body = pending.body
        key = (entity.id, record.command_id)
        self._under_way.pop(key, None)
        self._remember(key, (body.fingerprint, body.reply, record.version))
        opened = self.owed.note(record, body)
        self.showing.answer(pending.work, Status.OK, body.reply, record.version)
        for work in pending.joined or ():
            self.showing.answer(work, Status.REPEATED, body.reply, record.version)
        for work, reply in pending.tails or ():
            self.showing.answer(work, Status.OK, reply, record.version)
        self.showing.changed(entity)
        self.parts.opened(self, opened)
        if self.parts.relay is not None:
            self.parts.relay.committed(self, record)

    def _remember(self, key: tuple[str, str], what: tuple[bytes, bytes, int]) -> None:
        self._recent[key] = what
        if len(self._recent) > self.parts.limits.recent_commands:
            self._recent.popitem(last=False)

    def reset(self, entity: Entity) -> None:
        """A record of this entity was refused: all that was decided on it is decided again on what the journal has."""
        works: list[Work] = []
        for pending in entity.pending or ():
            pending.dropped = True
            self.pending -= 1
            self._under_way.pop((entity.id, pending.work.envelope.command_id), None)
            works.extend(pending.works())
        entity.pending = None
        entity.waiting = 0
        if self.entities.get(entity.id) is entity:
            del self.entities[entity.id]
        self.waking.put_back(entity.id, works)

    def close(self) -> None:
        """Answers nobody any more: another has the shard, or will. Nothing that was answered is lost by it."""
        if self.closed:
            return
        self.closed = True
        for entity in self.entities.values():
            for pending in entity.pending or ():
                pending.dropped = True
                for work in pending.works():
                    work.done(MOVED)
        self.pending = 0
        self.waking.close()
        self.showing.close(MOVED)
        self.entities.clear()

    def release_overdue_watchers(self, now: float) -> None:
        """Those whose time is up learn how it stands."""
        for look in self.showing.overdue(now):
            self.accept(look.envelope, look.done)
