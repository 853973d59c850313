"""Where each shard is on a Ray cluster, as the placement actor tells it."""

import asyncio
import logging
from functools import partial
from typing import Any

import ray

from actors.runtime.in_process import NearLink
from actors.runtime.on_ray.host_group import HostGroup
from actors.runtime.on_ray.link import RayLink
from actors.runtime.on_ray.reception import Endpoint
from actors.runtime.placement import Table
from actors.runtime.ports import Link
from actors.runtime.tasks import Tasks

_log = logging.getLogger("troupe.runtime")

NAMESPACE = "troupe"
PLACEMENT = "placement"
REFRESH_EVERY = 1.0
CALL_SECONDS = 5.0


class RayWay:
    """Keeps a copy of the table, renewed when asked and once a second. `here`: the hosts of this process, if any."""

    def __init__(self, tasks: Tasks) -> None:
        self.here: HostGroup | None = None
        self._tasks = tasks
        self._table = Table(0, {})
        self._links: dict[str, RayLink] = {}
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.refresh()
        self._tasks.start(self._keep_fresh(), "table of shards")

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            await self.refresh()

    def link(self, kind: str, shard: int) -> Link | None:
        here = self.here.of(kind) if self.here is not None else None
        if here is not None and (kind, shard) in here.shards:
            return NearLink(here)
        host = self._table.hosts.get((kind, shard))
        if host is None:
            return None
        link = self._links.get(host)
        if link is None or link.gone:
            link = self._links[host] = RayLink(self._tasks, partial(_endpoint, host))
        return link

    async def refresh(self) -> None:
        """Joins a refresh that is under way; who gives up does not take it from the others."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        # Not longer: the table that is there may be right, and who asks has a deadline.
        await asyncio.wait([self._refreshing], timeout=REFRESH_EVERY)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                # In a thread: Ray may have to ask its control store, and that may be the one that does not answer.
                actor: Any = await asyncio.to_thread(ray.get_actor, PLACEMENT, namespace=NAMESPACE)
                version, hosts = await actor.table.remote(self._table.version)
        except Exception as error:
            _log.warning("the placement does not answer: %s", type(error).__name__)
            return
        if version != self._table.version:
            self._table = Table(version, hosts)

    def table(self) -> Table:
        return self._table


async def _endpoint(host: str) -> Endpoint:
    """Where this host listens. Raises LookupError if there is no such actor, what Ray raises if it does not answer."""
    try:
        actor: Any = await asyncio.to_thread(ray.get_actor, host, namespace=NAMESPACE)
    except ValueError:
        raise LookupError(host) from None
    return Endpoint(*await actor.endpoint.remote())
