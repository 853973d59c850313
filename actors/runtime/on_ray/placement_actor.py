"""The placement as a Ray actor: sees to it that each shard is with the host that it is meant for."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ray

from actors.journal.base import ShardId
from actors.runtime.clock import SystemClock
from actors.runtime.on_ray.host_actor import start_host
from actors.runtime.on_ray.way import NAMESPACE, PLACEMENT
from actors.runtime.placement import assign

_log = logging.getLogger("troupe.runtime")

LOOK_EVERY = 0.5
CALL_SECONDS = 30.0
# For the question that a host answers at once. Less than what follows, or one that is silent makes all look so.
ANSWER_SECONDS = 10.0
# A host that does not answer for so long loses its shards to the others; fencing makes that safe.
GIVEN_UP = 20.0


class PlacementActor:
    """One for the whole cluster. It keeps nothing: a new one looks which hosts there are and what they have."""

    def __init__(self, shards: list[ShardId], hosts: list[str], furnish: str, settings: Mapping[str, str]) -> None:
        self._shards = shards
        self._furnish = furnish
        self._settings = dict(settings)
        self._hosts = list(hosts)
        # Above any that an earlier incarnation gave: it grows by one with each shard that moves.
        self._version = SystemClock().wall() * 1000
        self._table: dict[ShardId, str] = {}
        self._meant: dict[ShardId, str] = {}
        self._answered: dict[str, float] = {}
        self._moving = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._remembered = asyncio.Event()

    def _up(self) -> None:
        """The first call starts the looking after, in the actor's event loop; callers come at least once a second."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())

    async def table(self, known: int) -> tuple[int, dict[ShardId, str]]:
        """The table, or an empty one if the caller knows this version, or nothing better is known yet."""
        self._up()
        if not self._meant:
            return known, {}
        return self._version, {} if known == self._version else dict(self._table)

    async def settle(self) -> None:
        """Returns once every shard is with a host; the caller sets the deadline."""
        self._up()
        await self._settled.wait()

    async def stop(self) -> None:
        """Ends all hosts in order, the first one last, since the flows run beside it."""
        async with self._moving:
            if self._looking is not None:
                self._looking.cancel()
            for host in reversed(self._hosts):
                await self._call(host, "stop")

    async def hosts(self) -> list[str]:
        """Those that there are, not those of the settings: a placement that has just come back looks first."""
        self._up()
        await self._remembered.wait()
        return list(self._hosts)

    async def set_hosts(self, hosts: list[str]) -> dict[str, int]:
        """Adds and takes away hosts; answers, when all is moved, with how many shards each has."""
        self._up()
        async with self._moving:
            if not self._meant:
                await self._remember()
            leaving = [host for host in self._hosts if host not in hosts]
            self._hosts = list(hosts)
            self._meant = assign(self._shards, self._hosts, self._table)
            # What changes its host is handed over in order, a few at a time, so that most of the shop never waits.
            for host in {h for s, h in self._table.items() if self._meant.get(s) != h}:
                moving = [s for s, h in self._table.items() if h == host and self._meant.get(s) != host]
                for start in range(0, len(moving), 16):
                    await self._move(host, moving[start : start + 16])
            for host in leaving:
                await self._retire(host)
        await self._look()
        return {host: sum(1 for h in self._table.values() if h == host) for host in self._hosts}

    async def _move(self, host: str, shards: list[ShardId]) -> None:
        left = await self._call(host, "disown", shards)
        if left is not None:
            for target in {self._meant[shard] for shard in shards}:
                wanted = [shard for shard in shards if self._meant[shard] == target]
                self._note(target, await self._call(target, "own", wanted), wanted)

    async def _retire(self, host: str) -> None:
        await self._call(host, "stop")
        try:
            ray.kill(ray.get_actor(host, namespace=NAMESPACE))
        except ValueError:
            _log.info("%s was gone already", host)

    async def _keep_looking(self) -> None:
        while True:
            try:
                async with self._moving:
                    await self._look()
            except Exception:
                _log.exception("placement")
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        """Gives every host what it is meant to have and does not."""
        if not self._meant:
            await self._remember()
        owned = await asyncio.gather(*[self._call(h, "owned", seconds=ANSWER_SECONDS) for h in self._hosts])
        self._give_up_the_silent()
        await asyncio.gather(*[self._see_to(*one) for one in zip(self._hosts, owned, strict=True)])

    async def _remember(self) -> None:
        # Since the start other hosts than those of the settings may have been wanted.
        self._hosts = await asyncio.to_thread(running_hosts, self._hosts) or self._hosts
        answers = await asyncio.gather(*[self._call(host, "owned") for host in self._hosts])
        for host, owned in zip(self._hosts, answers, strict=True):
            for shard in owned or ():
                self._table[shard] = host
        self._meant = assign(self._shards, self._hosts, self._table)
        self._remembered.set()

    async def _see_to(self, host: str, owned: list[ShardId] | None) -> None:
        meant = [shard for shard, h in self._meant.items() if h == host]
        if owned is None:
            return
        missing = list(set(meant) - set(owned))
        if missing:
            owned = await self._call(host, "own", sorted(missing))
        self._note(host, owned, meant)

    def _note(self, host: str, owned: list[ShardId] | None, meant: list[ShardId]) -> None:
        for shard in set(owned or ()).intersection(meant):
            if self._table.get(shard) != host:
                self._table[shard] = host
                self._version += 1
        if len(self._table) == len(self._shards):
            self._settled.set()

    def _give_up_the_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        silent = [h for h in self._hosts if now - self._answered.setdefault(h, now) > GIVEN_UP]
        well = [h for h in self._hosts if h not in silent]
        if silent and well:
            _log.warning("no answer from %s: their shards go to %s", silent, well)
            self._meant = assign(self._shards, well, self._table)
        elif not silent and set(self._meant.values()) != set(self._hosts):
            self._meant = assign(self._shards, self._hosts, self._table)

    async def _call(self, host: str, method: str, *arguments: Any, seconds: float | None = None) -> Any:
        """None: it does not answer now."""
        try:
            actor = start_host(host, self._furnish, self._settings, NAMESPACE)
            async with asyncio.timeout(seconds or CALL_SECONDS):
                answer = await getattr(actor, method).remote(*arguments)
        except Exception as error:
            _log.info("%s does not answer %s: %s", host, method, type(error).__name__)
            return None
        self._answered[host] = asyncio.get_running_loop().time()
        return answer


def running_hosts(alike: Sequence[str]) -> list[str]:
    """The hosts that there are, in order of their numbers, by names that differ from these in the number only."""
    beginning = alike[0].rstrip("0123456789")
    actors = ray.util.list_named_actors(all_namespaces=True)
    names = [actor["name"] for actor in actors if actor["namespace"] == NAMESPACE]
    found = [name for name in names if name.startswith(beginning) and name[len(beginning) :].isdecimal()]
    return sorted(found, key=lambda name: int(name[len(beginning) :]))


def start_placement(shards: list[ShardId], hosts: list[str], furnish: str, settings: Mapping[str, str]) -> Any:
    """Starts the placement, or finds the one that runs."""
    return (
        ray.remote(PlacementActor)
        .options(
            name=PLACEMENT,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=1000,
            num_cpus=0,
        )
        .remote(shards, hosts, furnish, dict(settings))
    )
