"""What every adapter of the limits must do; and what the shared one does without its server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest
from redis.asyncio import Redis

from serve.circuit import UP
from serve.gateway.rate_limits import InProcessLimits, Limit, RateLimits, Verdict
from serve.gateway.shared_limits import RedisLimits
from serve.redis_server import SECONDS, RedisServer
from tests.contract.redis_process import OwnRedis
from tests.servers import address

DEADLINE = 20


@pytest.fixture(params=["in process", pytest.param("redis", marks=pytest.mark.servers)])
async def limits(request: pytest.FixtureRequest) -> AsyncIterator[RateLimits]:
    if request.param == "in process":
        yield InProcessLimits()
        return
    url, prefix = address("REDIS"), f"test-{token_hex(6)}"
    server = RedisServer(url, prefix=prefix, seconds=5)
    yield RedisLimits(server)
    await server.close()
    redis = Redis.from_url(url)
    async for key in redis.scan_iter(f"{prefix}:*"):
        await redis.delete(key)
    await redis.aclose()


async def test_a_burst_passes_then_the_rate_holds(limits: RateLimits) -> None:
    slow = Limit("log-in", per_minute=1, burst=3)
    said = [await limits.take("a", slow) for _ in range(4)]
    assert said == [
        Verdict(True, 3, 2, 60),
        Verdict(True, 3, 1, 120),
        Verdict(True, 3, 0, 180),
        Verdict(False, 3, 0, 60),
    ]


async def test_a_bucket_fills_again(limits: RateLimits) -> None:
    quick = Limit("quick", per_minute=1_200, burst=1)
    assert (await limits.take("a", quick)).allowed
    async with asyncio.timeout(DEADLINE):
        while not (await limits.take("a", quick)).allowed:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert (await limits.take("a", quick)).seconds == 1


async def test_callers_and_groups_have_buckets_of_their_own(limits: RateLimits) -> None:
    one = Limit("one", per_minute=1, burst=1)
    assert (await limits.take("a", one)).allowed
    assert not (await limits.take("a", one)).allowed
    assert (await limits.take("b", one)).allowed
    assert (await limits.take("a", one._replace(group="two"))).allowed


async def test_no_more_than_the_burst_pass_together(limits: RateLimits) -> None:
    limit = Limit("all", per_minute=1, burst=10)
    said = await asyncio.gather(*(limits.take("a", limit) for _ in range(30)))
    assert sum(one.allowed for one in said) == 10


@pytest.mark.servers
async def test_replicas_count_together_and_nobody_is_named_in_redis(tmp_path: Path) -> None:
    own = OwnRedis(tmp_path)
    await own.start()
    servers = [RedisServer(own.url, seconds=5) for _ in range(2)]
    try:
        limit = Limit("one", per_minute=1, burst=2)
        said = [await RedisLimits(server).take("address:203.0.113.9", limit) for server in (*servers, servers[0])]
        assert [one.allowed for one in said] == [True, True, False]
        redis = Redis.from_url(own.url)
        [key] = [key async for key in redis.scan_iter("*")]
        assert b"203.0.113.9" not in key
        assert await redis.pttl(key) > 60_000
        await redis.aclose()
    finally:
        for server in servers:
            await server.close()
        await own.kill()


@pytest.mark.servers
async def test_without_redis_it_counts_alone_and_says_so(tmp_path: Path) -> None:
    own = OwnRedis(tmp_path)
    await own.start()
    server = RedisServer(own.url)
    limits = RedisLimits(server)
    plenty, one = Limit("plenty", per_minute=6_000, burst=10_000), Limit("one", per_minute=1, burst=1)
    try:
        await limits.take("a", plenty)
        await own.kill()
        began = time.monotonic()
        for _ in range(200):
            assert (await limits.take("a", plenty)).allowed
        # Not the deadline of every call.
        assert time.monotonic() - began < 200 * SECONDS / 10
        assert UP.labels("redis")._value.get() == 0
        assert [(await limits.take("a", one)).allowed for _ in range(2)] == [True, False]
        await own.start()
        async with asyncio.timeout(DEADLINE):
            while not server.up:
                await limits.take("a", plenty)
                await asyncio.sleep(0.01)
        assert UP.labels("redis")._value.get() == 1
        # Emptied, it begins anew.
        assert (await limits.take("a", one)).allowed
    finally:
        await server.close()
        await own.kill()
