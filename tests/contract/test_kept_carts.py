"""Carts kept in Redis: never older than a second, never older than the version that the caller has seen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.cart import CartView
from actors.pricing import Line
from actors.runtime.ports import Answer
from serve.carts.kept import KEPT, KeptCarts
from serve.redis_server import RedisServer
from tests.contract.redis_process import OwnRedis

pytestmark = pytest.mark.servers


class World:
    def __init__(self, redis: OwnRedis) -> None:
        self.redis = redis
        self.server = RedisServer(redis.url, seconds=0.3)
        self.now = 100.0
        self.kept = KeptCarts(self.server, monotonic=lambda: self.now)
        self.version = 1
        self.reads = 0

    def cart(self, version: int) -> Answer:
        return Answer(CartView((Line("l1", "MUG", "Mug", version, 100),)), version)

    async def read(self, at_least: int = 0, *, takes: float = 0.0) -> tuple[int, int]:
        """The version and the quantity that are shown."""

        async def read() -> Answer:
            self.reads += 1
            found = self.cart(self.version)
            self.now += takes
            return found

        reply, version, _ = await self.kept.read("user-1", at_least, read)
        assert isinstance(reply, CartView)
        return version, reply.lines[0].quantity


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    own = OwnRedis(tmp_path)
    await own.start()
    made = World(own)
    yield made
    await made.server.close()
    await own.kill()


async def test_who_looks_again_wakes_nobody(world: World) -> None:
    assert [await world.read() for _ in range(5)] == [(1, 1)] * 5
    assert world.reads == 1


async def test_who_says_what_they_saw_is_never_shown_an_older_cart(world: World) -> None:
    await world.read()
    world.version = 3
    assert (await world.read(), await world.read(1)) == ((1, 1), (1, 1))
    assert await world.read(2) == (3, 3)
    assert await world.read() == (3, 3)
    assert world.reads == 2


async def test_nothing_is_shown_for_longer_than_a_second(world: World) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await world.read()
    world.version = 2
    while (await world.read())[0] == 1:
        assert loop.time() - began < KEPT + 1
        await asyncio.sleep(0.01)


async def test_a_slow_read_takes_no_newer_ones_place(world: World) -> None:
    await world.kept.put("user-1", world.cart(5), world.now)
    await world.kept.put("user-1", world.cart(4), world.now)
    assert await world.read() == (5, 5)


async def test_what_took_too_long_to_read_is_not_kept(world: World) -> None:
    assert [await world.read(takes=KEPT) for _ in range(2)] == [(1, 1)] * 2
    assert world.reads == 2


async def test_without_redis_every_cart_is_read_where_it_is(world: World) -> None:
    await world.read()
    await world.redis.kill()
    world.version = 2
    assert [await world.read() for _ in range(3)] == [(2, 2)] * 3
    assert world.reads == 4
