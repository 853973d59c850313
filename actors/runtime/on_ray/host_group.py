"""The hosts of one process, one for each journal: what keeps one of them from its database does not stop the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from actors.journal.base import JournalUnavailable, ShardId
from actors.runtime.entity import MOVED
from actors.runtime.host import Host
from actors.runtime.ports import Done
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope

_log = logging.getLogger("troupe.runtime")

# How long the placement waits for a host whose database does not answer; what is late goes on by itself.
SECONDS = 5.0
RETRY_SECONDS = 1.0


class HostGroup:
    """Together they are what the placement calls a host. No two of them have a kind in common."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self._of = {kind: host for host in hosts for kind in host.kinds}
        self._turns = {host: asyncio.Lock() for host in hosts}
        self._started: set[Host] = set()
        self._tasks = Tasks()

    def of(self, kind: str) -> Host | None:
        return self._of.get(kind)

    def accept(self, envelope: Envelope, done: Done) -> None:
        """As `Host.accept`."""
        host = self._of.get(envelope.kind)
        if host is None:
            done(MOVED)
        else:
            host.accept(envelope, done)

    @property
    def shards(self) -> list[ShardId]:
        return [shard for host in self.hosts for shard in host.shards]

    @property
    def ended(self) -> bool:
        """Whether one of them had no lease for too long; the process has to end then."""
        return any(host.ended for host in self.hosts)

    def has_everything(self) -> bool:
        """Whether every shard of every kind is here."""
        return all(host.has_everything() for host in self.hosts)

    async def start(self) -> None:
        """Starts those whose database answers; the others are tried until it does."""
        await self._each(self._start, dict.fromkeys(self.hosts, ()))

    async def own(self, ids: Iterable[ShardId]) -> None:
        """Takes these shards over, as far as that goes within `SECONDS`; what is under way goes on."""
        wanted = self._by_host(ids)
        # The placement asks again: nothing piles up behind a database that is away.
        now = {host: some for host, some in wanted.items() if host in self._started and not self._turns[host].locked()}
        await self._each(Host.own, now)

    async def disown(self, ids: Iterable[ShardId]) -> None:
        """Hands these shards over in order, as far as that goes within `SECONDS`."""
        await self._each(Host.disown, self._by_host(ids))

    async def stop(self) -> None:
        """Releases everything and ends; behind what is under way, as far as that goes within `SECONDS`."""
        await self._each(_nothing, dict.fromkeys(self.hosts, ()))
        await self._tasks.close()
        await asyncio.gather(*[host.stop() for host in self.hosts])

    def _by_host(self, ids: Iterable[ShardId]) -> dict[Host, Sequence[ShardId]]:
        found: dict[Host, list[ShardId]] = {}
        for shard in ids:
            if (host := self._of.get(shard[0])) is not None:
                found.setdefault(host, []).append(shard)
        return dict(found)

    async def _start(self, host: Host, _: Sequence[ShardId]) -> None:
        while True:
            try:
                await host.start()
                break
            except JournalUnavailable as error:
                _log.warning("%s waits for a journal: %s", host.name, error)
            await asyncio.sleep(RETRY_SECONDS)
        self._started.add(host)

    async def _each(
        self,
        work: Callable[[Host, Sequence[ShardId]], Awaitable[None]],
        shares: dict[Host, Sequence[ShardId]],
    ) -> None:
        left = len(shares)
        all_done = asyncio.Event()

        async def one(host: Host, some: Sequence[ShardId]) -> None:
            nonlocal left
            try:
                async with self._turns[host]:
                    await work(host, some)
            except JournalUnavailable as error:
                _log.warning("%s could not do it all: %s", host.name, error)
            finally:
                left -= 1
                if left == 0:
                    all_done.set()

        for host, some in shares.items():
            self._tasks.start(one(host, some), f"{host.name}: shards")
        if shares:
            try:
                async with asyncio.timeout(SECONDS):
                    await all_done.wait()
            except TimeoutError:
                _log.warning("a journal does not answer; what is under way goes on")


async def _nothing(_: Host, __: Sequence[ShardId]) -> None:
    pass
