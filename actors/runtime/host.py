"""A host: a process's share of the shards, with all that keeps them going."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from actors.journal.base import Journal, JournalUnavailable, ShardId
from actors.runtime import claim
from actors.runtime.agenda import Agenda
from actors.runtime.committer import Committer
from actors.runtime.delivery import Delivery
from actors.runtime.effects import Effects
from actors.runtime.entity import MOVED, Work
from actors.runtime.kind import Kind, shard_of
from actors.runtime.lease import HostLease, Revoked
from actors.runtime.limits import Limits
from actors.runtime.open_work import Opened
from actors.runtime.parts import DatabaseTime, Parts
from actors.runtime.ports import Clock, Done, EffectRunner, Entropy, Publisher
from actors.runtime.relay import Relay
from actors.runtime.shard import Shard
from actors.runtime.tasks import Tasks
from actors.runtime.upkeep import Upkeep
from actors.runtime.wire import Envelope, Mode, Record, Result, Status

_log = logging.getLogger("troupe.runtime")

# A database that is away must not keep a host from ending; who takes its shards then waits for its lease.
STOP_SECONDS = 15.0


class Host:
    """`elsewhere` is the way to shards of other hosts; `wrote` hears of each record committed here.

    `publisher`: where events go out to; None where the journal itself is the event log.
    """

    def __init__(
        self,
        name: str,
        kinds: Mapping[str, Kind],
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
        runners: Mapping[str, EffectRunner],
        elsewhere: Callable[[Envelope, Done], None],
        wrote: Callable[[int, Record], None] = lambda position, record: None,
        publisher: Publisher | None = None,
    ) -> None:
        self.name = name
        self.kinds = dict(kinds)
        self.shards: dict[ShardId, Shard] = {}
        self._leaving: list[Shard] = []
        self._taken: dict[ShardId, int] = {}
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._elsewhere = elsewhere
        self._tasks = Tasks()
        time = DatabaseTime(clock)
        self.lease = HostLease(f"{name}:{entropy.token().hex()}", journal, clock, limits, time, self._revoked)
        self.committer = Committer(journal, clock, limits, wrote, self._lost)
        self.parts = Parts(
            limits=limits,
            journal=journal,
            clock=clock,
            entropy=entropy,
            time=time,
            tasks=self._tasks,
            lease=self.lease,
            committer=self.committer,
            opened=self._opened,
            follow=self._follow,
            route=self.route,
        )
        self.relay = self.parts.relay = Relay(publisher, self.parts) if publisher is not None else None
        self.delivery = Delivery(self.parts)
        self._agenda = Agenda(self.parts)
        self._effects = Effects(self.parts, runners)
        self._upkeep = Upkeep(self.parts, self.shards)
        self.ended = False

    async def start(self) -> None:
        """Raises JournalUnavailable."""
        await self.lease.renew()
        for name, work in (
            ("lease", self._keep_lease()),
            ("commits", self.committer.run()),
            ("timers", self._agenda.run()),
            ("watchers", self._upkeep.tell_watchers()),
            ("checkpoints", self._upkeep.keep_checkpoints()),
            ("passivation", self._upkeep.passivate()),
        ):
            self._tasks.start(work, f"{self.name}: {name}")
        if self.relay is not None:
            self._tasks.start(self.relay.run(), f"{self.name}: relay")

    async def _keep_lease(self) -> None:
        await self.lease.run()
        _log.error("%s has had no lease for too long and ends", self.name)
        self.ended = True
        self._close_all([*self.shards.values(), *self._leaving])

    async def own(self, ids: Sequence[ShardId]) -> None:
        """Takes these shards over, whoever has them. Raises JournalUnavailable."""
        wanted = [shard for shard in ids if shard not in self.shards]
        if not wanted or self.ended:
            return
        for shard in await claim.take_over(wanted, self.lease.owner, self.kinds, self.parts):
            if self._taken.get(shard.id, 0) > shard.epoch:
                # Its loss was told while it was still being recovered.
                shard.close()
                continue
            self.shards[shard.id] = shard
            self._resume(shard)

    def _resume(self, shard: Shard) -> None:
        self.delivery.resume(shard)
        if self.relay is not None:
            self.relay.resume(shard)
        for effect in list(shard.owed.effects.values()):
            self._effects.start(shard, effect)
        for timer in list(shard.owed.timers.values()):
            self._agenda.add(shard, timer)

    async def disown(self, ids: Iterable[ShardId]) -> None:
        """Hands these shards over in order. Raises JournalUnavailable; whoever claims them next waits a little then."""
        leaving = [shard for shard in (self.shards.pop(one, None) for one in ids) if shard is not None]
        for shard in leaving:
            shard.leaving = True
        self._leaving += leaving
        closed = []
        while leaving:
            # Closing follows at once on the look at what is pending: nothing can be decided in between.
            for shard in [shard for shard in leaving if not shard.pending]:
                leaving.remove(shard)
                self._leaving.remove(shard)
                if not shard.closed:
                    shard.close()
                    closed.append(shard)
            if leaving:
                await self._clock.sleep(0.002)
        if closed:
            await claim.release(closed, self.parts)

    async def stop(self) -> None:
        """Releases everything and ends."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.disown(list(self.shards))
                await self._tasks.close()
                await self.lease.end()
        except (JournalUnavailable, TimeoutError) as error:
            _log.warning("%s could not release its shards: %s", self.name, type(error).__name__)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Ends without a word, as a crash would."""
        await self._tasks.close()
        self._close_all([*self.shards.values(), *self._leaving])

    def has_everything(self) -> bool:
        """Whether every shard is here: then no other host can write, each would be refused."""
        return len(self.shards) == len(self.kinds) * self._limits.shards

    def accept(self, envelope: Envelope, done: Done) -> None:
        """Takes a command for one of this host's shards."""
        shard = self.shards.get((envelope.kind, shard_of(envelope.entity, self._limits.shards)))
        if shard is None:
            done(MOVED)
        else:
            shard.accept(envelope, done)

    def route(self, envelope: Envelope, done: Done) -> None:
        """Delivers here or elsewhere."""
        shard = self.shards.get((envelope.kind, shard_of(envelope.entity, self._limits.shards)))
        if shard is None:
            self._elsewhere(envelope, done)
        else:
            shard.accept(envelope, done)

    def _follow(self, work: Work, target: tuple[str, str], result: Result) -> None:
        kind, entity = target
        shard = self.shards.get((kind, shard_of(entity, self._limits.shards)))
        if shard is None or shard.closed:
            # The caller finds the other entity by itself.
            work.done(result)
            return

        def answered(seen: Result) -> None:
            # No room to wait, or no lease: that says nothing about the command, which was carried out.
            work.done(seen if seen.status is Status.OK else result)

        envelope = Envelope(Mode.WATCH, kind, entity, number=-1, seconds=work.envelope.seconds)
        if result.status is Status.OK and entity not in shard.entities and entity not in shard.waking:
            # Its first message is on its way: there is nothing to load yet.
            shard.showing.watch(Work(envelope, answered), -1, None)
        else:
            shard.accept(envelope, answered)

    def _opened(self, shard: Shard, opened: Opened) -> None:
        for pair in opened.pairs:
            self.delivery.offer(shard, pair)
        for effect in opened.effects:
            self._effects.start(shard, effect)
        for timer in opened.timers:
            self._agenda.add(shard, timer)

    def _lost(self, shard: Shard) -> None:
        """Another incarnation has written into the shard: this one is over."""
        _log.warning("%s lost shard %s/%d", self.name, *shard.id)
        self._close_all([shard])

    def _revoked(self, revoked: tuple[Revoked, ...]) -> None:
        for kind, number, epoch in revoked:
            self._taken[kind, number] = max(epoch, self._taken.get((kind, number), 0))
            for shard in [self.shards.get((kind, number)), *self._leaving]:
                if shard is not None and shard.id == (kind, number) and shard.epoch < epoch:
                    self._lost(shard)

    def _close_all(self, shards: Iterable[Shard]) -> None:
        for shard in list(shards):
            shard.close()
            if self.shards.get(shard.id) is shard:
                del self.shards[shard.id]
