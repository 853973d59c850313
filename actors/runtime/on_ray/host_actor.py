"""A host as a Ray actor: named, restarting, one process with many entities."""

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import ray

from actors.journal.base import ShardId
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.furnishing import Furnishing, hosts_of
from actors.runtime.memory import calm_garbage_collection
from actors.runtime.on_ray.host_group import HostGroup
from actors.runtime.on_ray.reception import Endpoint, Reception
from actors.runtime.on_ray.way import RayWay
from actors.runtime.region import Region
from actors.runtime.status import status
from actors.runtime.tasks import Tasks

_log = logging.getLogger("troupe.runtime")

Furnish = Callable[[str, Mapping[str, str]], Awaitable[Furnishing]]


def load(path: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class HostActor:
    """`furnish` names an async function (name of the host, settings) -> Furnishing."""

    def __init__(self, name: str, furnish: str, settings: Mapping[str, str]) -> None:
        self._name = name
        self._furnish: Furnish = load(furnish)
        self._settings = dict(settings)
        self._starting: asyncio.Task[None] | None = None

    async def _up(self) -> None:
        """Starts at the first call, in the actor's event loop; a start that failed is tried again by the next call."""
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._start())
        if not self._starting.done():
            await asyncio.shield(self._starting)

    async def _start(self) -> None:
        # What is to be ended, the last first; also after a start that failed, or it would go on beside the next.
        self._opened = AsyncExitStack()
        try:
            await self._open()
        except BaseException:
            with suppress(Exception):
                await self._opened.aclose()
            raise

    async def _open(self) -> None:
        entropy = SystemEntropy()
        clock = SystemClock()
        furnishing = await self._furnish(self._name, self._settings)
        for kept in furnishing.kept:
            self._opened.push_async_callback(kept.journal.close)
        if furnishing.publisher is not None:
            self._opened.push_async_callback(furnishing.publisher.close)
        self._tasks = Tasks()
        self._opened.push_async_callback(self._tasks.close)
        self._way = RayWay(self._tasks)
        kinds = {name: kind for kept in furnishing.kept for name, kind in kept.kinds.items()}
        region = Region(kinds, self._way, clock, entropy, furnishing.limits.shards)
        self._group = self._way.here = HostGroup(hosts_of(self._name, furnishing, clock, entropy, region.post))
        reception = Reception(self._group.accept, entropy.token())
        self._opened.push_async_callback(reception.close)
        self._endpoint = await reception.open(ray.util.get_node_ip_address())
        self._opened.push_async_callback(self._group.stop)
        await self._group.start()
        await self._way.start()
        self._opened.push_async_callback(furnishing.stop)
        await furnishing.start(region, self._group.has_everything)
        calm_garbage_collection()

    async def pid(self) -> int:
        return os.getpid()

    async def own(self, shards: list[ShardId]) -> list[ShardId]:
        """Takes these over; answers with all that this host has."""
        await self._up()
        await self._group.own(shards)
        return await self.owned()

    async def disown(self, shards: list[ShardId]) -> list[ShardId]:
        """Hands these over in order; answers with all that is left."""
        await self._up()
        await self._group.disown(shards)
        return await self.owned()

    async def owned(self) -> list[ShardId]:
        await self._up()
        if self._group.ended:
            # It had no lease for too long: an end, after which Ray starts it anew.
            os._exit(1)
        return self._group.shards

    async def endpoint(self) -> Endpoint:
        """Where commands are taken, and the token to show there."""
        await self._up()
        return self._endpoint

    async def status(self) -> dict[str, Any]:
        """What an operator wants to see."""
        await self._up()
        return status(self._group.hosts)

    async def stop(self) -> None:
        """Ends in order: flows first, then the shards are released."""
        await self._up()
        await self._opened.aclose()


def start_host(name: str, furnish: str, settings: Mapping[str, str], namespace: str, **options: Any) -> Any:
    """Starts a host actor, or finds the one of this name."""
    actor = ray.remote(HostActor)
    return actor.options(
        name=name,
        namespace=namespace,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=1000,
        num_cpus=0,
        **options,
    ).remote(name, furnish, dict(settings))
