"""Looking at the hosts of a running shop, and having more or fewer of them."""

import asyncio
from typing import Annotated, Any

import msgspec
import ray

from actors.runtime.on_ray.way import NAMESPACE, PLACEMENT
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem

MOST = 64
LOOK_SECONDS = 5.0
MOVE_SECONDS = 120.0


class HostBody(msgspec.Struct, frozen=True):
    """`open`: messages, effects and timers under way. `stuck`: messages that their receivers cannot decide on."""

    name: str
    state: str
    pid: int | None = None
    shards: int = 0
    entities: int = 0
    open: int = 0
    parked: int = 0
    stuck: list[str] = []
    backlog: int = 0


class HostsBody(msgspec.Struct, frozen=True):
    items: list[HostBody]


class HostsWanted(msgspec.Struct, frozen=True):
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST, description="How many hosts there shall be.")]


def host_routes() -> Routes:
    """Staff only; a shop whose replica runs the entities itself has no hosts to look at."""
    routes = Routes(tag="staff: hosts")

    @routes.get("/api/admin/hosts", access="staff", summary="The hosts of the entities", answers={200: HostsBody})
    async def look(_: Request) -> Response:
        return json(await hosts())

    @routes.put(
        "/api/admin/hosts",
        access="staff",
        body=HostsWanted,
        answers={200: HostsBody},
        summary="Have so many hosts; shards move, drained, a few at a time",
        example={"count": 2},
    )
    async def change(request: Request) -> Response:
        wanted: HostsWanted = request.body
        names = [f"host-{n}" for n in range(wanted.count)]
        async with asyncio.timeout(MOVE_SECONDS):
            await _placement().set_hosts.remote(names)
        return json(await hosts())

    return routes


def _placement() -> Any:
    try:
        return ray.get_actor(PLACEMENT, namespace=NAMESPACE)
    except ValueError:
        raise Problem(
            "no_hosts", "This shop runs its entities in its replica; set TROUPE_HOSTS to 1 or more."
        ) from None


async def hosts() -> HostsBody:
    async with asyncio.timeout(LOOK_SECONDS):
        names: list[str] = await _placement().hosts.remote()
    return HostsBody(await asyncio.gather(*[_look(name) for name in names]))


async def _look(name: str) -> HostBody:
    try:
        actor: Any = ray.get_actor(name, namespace=NAMESPACE)
        async with asyncio.timeout(LOOK_SECONDS):
            status: dict[str, Any] = await actor.status.remote()
    except Exception as error:
        return HostBody(name, type(error).__name__)
    known = {key: status[key] for key in ("pid", "shards", "entities", "open", "parked", "backlog")}
    return HostBody(name, "up", stuck=sorted(status["stuck"]), **known)
