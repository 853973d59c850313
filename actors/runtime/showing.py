"""What callers are shown of a shard's entities: replies to commands, views, and news for those who wait.

A defect in the rules that make a view is met while others are answered: it must not reach them.
"""

import logging
from collections.abc import Iterator

from actors.runtime.entity import FAILED, OVERLOADED, UNAVAILABLE, Entity, Work
from actors.runtime.kind import Kind
from actors.runtime.parts import Parts
from actors.runtime.watching import Watcher, Watching
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

_log = logging.getLogger("troupe.runtime")


class Showing:
    """Of one shard. Only committed states are shown."""

    def __init__(self, kind: Kind, parts: Parts) -> None:
        self._kind = kind
        self._parts = parts
        self._watching = Watching()

    @property
    def waiting(self) -> int:
        """How many callers wait for news."""
        return self._watching.count

    def answer(self, work: Work, status: Status, reply: bytes, version: int) -> None:
        """The reply to a command, or what it led to if its caller follows."""
        result = Result(status, reply, version, self._kind.name)
        if work.envelope.follow:
            target = self._target(reply)
            if target is not None:
                self._parts.follow(work, target, result)
                return
        work.done(result)

    def view(self, entity: Entity, at_least: int) -> Result:
        """The entity as it is, if that is known to be no older than `at_least` and nobody else has the shard."""
        if not (self._parts.lease.valid() and entity.proven) or entity.version < at_least:
            return UNAVAILABLE
        return self._seen(entity)

    def watch(self, work: Work, beyond: int, entity: Entity | None) -> None:
        """Answers once the version is above `beyond` (-1: once settled). No entity: one that is about to be."""
        if entity is not None and (self._settled(entity) if beyond < 0 else entity.version > beyond):
            work.done(self.view(entity, 0))
        elif self._watching.count >= self._parts.limits.watchers:
            work.done(OVERLOADED)
        else:
            until = self._parts.clock.monotonic() + work.envelope.seconds
            self._watching.add(work.envelope.entity, Watcher(work, beyond, until))

    def changed(self, entity: Entity) -> None:
        """Tells those who waited for what the entity is now."""
        if entity.id not in self._watching:
            return
        ready = self._watching.take(entity.id, entity.version, self._settled(entity))
        if ready:
            result = self._seen(entity)
            for watcher in ready:
                watcher.work.done(result)

    def overdue(self, now: float) -> Iterator[Work]:
        """A look, instead of news, for those whose time is up."""
        for name, watcher in self._watching.overdue(now):
            seconds = watcher.work.envelope.seconds
            yield Work(Envelope(Mode.READ, self._kind.name, name, seconds=seconds), watcher.work.done)

    def close(self, result: Result) -> None:
        for watcher in self._watching.drain():
            watcher.work.done(result)

    def _target(self, reply: bytes) -> tuple[str, str] | None:
        try:
            return self._kind.follows(self._kind.reply(reply))
        except Exception:
            _log.exception("where a reply of a %s leads to cannot be said", self._kind.name)
            return None

    def _settled(self, entity: Entity) -> bool:
        try:
            return self._kind.settled(entity.state)
        except Exception:
            _log.exception("whether %s/%s is settled cannot be said", self._kind.name, entity.id)
            return True

    def _seen(self, entity: Entity) -> Result:
        try:
            view = encode(self._kind.view(entity.state))
        except Exception:
            _log.exception("%s/%s cannot be shown", self._kind.name, entity.id)
            return FAILED
        return Result(Status.OK, view, entity.version, self._kind.name)
