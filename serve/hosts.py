"""Looking at the hosts of a running shop, and having more or fewer of them."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayError

from actors.runtime.on_ray.way import NAMESPACE, PLACEMENT
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem

MOST = 64
UP = "up"
LOOK_SECONDS = 5.0
MOVE_SECONDS = 120.0


class HostBody(msgspec.Struct, frozen=True):
    """`open`: messages, effects and timers under way. `stuck`: messages that their receivers cannot decide on.

    `batches`, `records`: commits, and what went with them, since its process began.
    """

    name: str
    state: str
    pid: int | None = None
    shards: int = 0
    entities: int = 0
    open: int = 0
    parked: int = 0
    stuck: list[str] = []
    backlog: int = 0
    batches: int = 0
    records: int = 0


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
            try:
                await (await _placement()).set_hosts.remote(names)
            except RayError:
                _found.pop(PLACEMENT, None)
                raise
        return json(await hosts())

    return routes


_found: dict[str, Any] = {}


async def _actor(name: str) -> Any:
    """By its name; raises ValueError if there is none. One that was found is not looked up again while it answers."""
    if name not in _found:
        # In a thread: it asks Ray's control store, and that may be the one that does not answer.
        _found[name] = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
    return _found[name]


async def _placement() -> Any:
    try:
        return await _actor(PLACEMENT)
    except ValueError:
        raise Problem(
            "no_hosts", "This shop runs its entities in its replica; set TROUPE_HOSTS to 1 or more."
        ) from None


async def hosts() -> HostsBody:
    return HostsBody(await asyncio.gather(*[look_at(name) for name in await names()]))


async def names() -> list[str]:
    """The hosts that there shall be. Raises Problem `no_hosts`, TimeoutError, or what Ray raises."""
    async with asyncio.timeout(LOOK_SECONDS):
        placement = await _placement()
        try:
            told: list[str] = await placement.hosts.remote()
        except RayError:
            _found.pop(PLACEMENT, None)
            raise
    return told


async def look_at(name: str) -> HostBody:
    """One that does not answer within `LOOK_SECONDS` has the reason as its state."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            try:
                return body(await (await _actor(name)).status.remote())
            except RayActorError:
                # It is gone, perhaps for good; another of its name may have come since it was found.
                _found.pop(name, None)
                return body(await (await _actor(name)).status.remote())
    except Exception as error:
        if isinstance(error, RayError):
            _found.pop(name, None)
        return HostBody(name, type(error).__name__)


def body(status: Mapping[str, Any]) -> HostBody:
    """Of what `actors.runtime.status` says."""
    known = ("name", "pid", "shards", "entities", "open", "parked", "backlog", "batches", "records")
    return HostBody(state=UP, stuck=sorted(status["stuck"]), **{key: status[key] for key in known})
