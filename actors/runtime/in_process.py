"""Hosts in the caller's own process: for one replica that needs no others, for tests and for the simulation."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from actors.journal.base import Journal, ShardId
from actors.runtime.host import Host
from actors.runtime.kind import Kind
from actors.runtime.limits import Limits
from actors.runtime.ports import Clock, Done, EffectRunner, Entropy, Publisher
from actors.runtime.region import Region
from actors.runtime.wire import Envelope


def all_shards(kinds: Mapping[str, Kind], shards: int) -> list[ShardId]:
    return [(kind, n) for kind in kinds for n in range(shards)]


class NearLink:
    """The way to a host in this process. Delivery is a turn of the loop later, as it would be from afar."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def post(self, envelope: Envelope, done: Done) -> None:
        asyncio.get_running_loop().call_soon(partial(self.host.accept, envelope, done))


class NearWay:
    """Looks at the hosts themselves to learn who has a shard."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []

    def link(self, kind: str, shard: int) -> NearLink | None:
        for host in self.hosts:
            if (kind, shard) in host.shards:
                return NearLink(host)
        return None

    async def refresh(self) -> None:
        """Nothing to learn: `link` looks each time."""


class InProcess:
    """A cluster of hosts in one event loop over one journal."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
        runners: Mapping[str, EffectRunner],
        publisher: Publisher | None = None,
    ) -> None:
        self.kinds = kinds
        self.journal = journal
        self.clock = clock
        self.entropy = entropy
        self.limits = limits
        self.runners = runners
        self.publisher = publisher
        self.way = NearWay()
        self.region = Region(kinds, self.way, clock, entropy, limits.shards)

    def host(self, name: str) -> Host:
        """A host that is not started yet."""
        return Host(
            name,
            self.kinds,
            self.journal,
            self.clock,
            self.entropy,
            self.limits,
            self.runners,
            self.region.post,
            publisher=self.publisher,
        )

    async def start(self, name: str, shards: Sequence[ShardId] | None = None) -> Host:
        """Starts a host that takes over these shards (None: all)."""
        host = self.host(name)
        await host.start()
        self.way.hosts.append(host)
        await host.own(all_shards(self.kinds, self.limits.shards) if shards is None else shards)
        return host

    async def stop(self) -> None:
        for host in self.way.hosts:
            await host.stop()
        self.way.hosts.clear()
