"""Token buckets, and whose address counts."""

import httpx
import pytest
from fastapi import FastAPI

from serve.gateway.front import Front, Limits
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.rate_limits import Addresses, InProcessLimits, Limit, Verdict

LIMIT = Limit("log-in", per_minute=30, burst=3)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_burst_passes_then_the_rate_holds() -> None:
    time = Time()
    limits = InProcessLimits(now=time)
    assert [(await limits.take("a", LIMIT)) for _ in range(4)] == [
        Verdict(True, 3, 2, 2),
        Verdict(True, 3, 1, 4),
        Verdict(True, 3, 0, 6),
        Verdict(False, 3, 0, 2),
    ]
    time.now += 1.9
    assert (await limits.take("a", LIMIT)).allowed is False
    time.now += 0.2
    assert (await limits.take("a", LIMIT)).allowed is True
    time.now += 3600
    assert (await limits.take("a", LIMIT)).remaining == 2


async def test_callers_and_groups_have_buckets_of_their_own() -> None:
    limits = InProcessLimits(now=Time())
    one = Limit("one", per_minute=1, burst=1)
    assert (await limits.take("a", one)).allowed
    assert not (await limits.take("a", one)).allowed
    assert (await limits.take("b", one)).allowed
    assert (await limits.take("a", one._replace(group="two"))).allowed


async def test_memory_is_bounded() -> None:
    limits = InProcessLimits(capacity=10, now=Time())
    one = Limit("one", per_minute=1, burst=1)
    for number in range(1000):
        await limits.take(str(number), one)
    assert not (await limits.take("999", one)).allowed
    assert (await limits.take("0", one)).allowed


def test_a_refusal_says_when() -> None:
    problem = Verdict(False, 3, 0, 2).problem()
    assert (problem.status, problem.code) == (429, "rate_limited")
    assert problem.headers == {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "2",
        "Retry-After": "2",
    }


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "found"),
    [
        ((), "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (("10.0.0.0/8",), "10.1.1.1", "198.51.100.1", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.1.1", "1.2.3.4, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.1.1", None, None),
        (("10.0.0.0/8",), "10.1.1.1", "nonsense", None),
        ((), "127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ((), "127.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ((), "127.0.0.1", "1.2.3.4, 127.0.0.1", None),
        ((), "127.0.0.1", "1.2.3.4, ::1", None),
        ((), "127.0.0.1", "1.2.3.4, 10.0.0.1", "10.0.0.1"),
        (("10.0.0.0/8",), "127.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (("127.0.0.0/8",), "127.0.0.1", "198.51.100.1, 127.0.0.1", "198.51.100.1"),
        ((), "127.0.0.1", None, None),
        ((), "::1", None, None),
        ((), "", None, None),
    ],
)
def test_whose_address_counts(trusted: tuple[str, ...], peer: str, forwarded: str | None, found: str | None) -> None:
    assert Addresses(trusted).of(peer, forwarded) == found


async def test_an_address_that_a_client_made_up_is_not_believed() -> None:
    limits = Limits(InProcessLimits(now=Time()), Limit("all", per_minute=1, burst=1))
    front = Front(FastAPI(), [_routes()], limits=limits)
    # What the balancer adds comes in a line of its own, behind those that the client sent.
    seen = [
        await _status(front, "127.0.0.1", "1.1.1.1", "203.0.113.9"),
        await _status(front, "127.0.0.1", "2.2.2.2", "203.0.113.9"),
        await _status(front, "127.0.0.1", "203.0.113.9", "203.0.113.10"),
        await _status(front, "203.0.113.11", "3.3.3.3"),
        await _status(front, "203.0.113.11", "4.4.4.4"),
    ]
    assert seen == [200, 429, 200, 200, 429]


def _routes() -> Routes:
    routes = Routes()

    @routes.get("/api/thing", summary="A thing")
    async def thing(_: Request) -> Response:
        return json({})

    return routes


async def _status(front: Front, peer: str, *forwarded: str) -> int:
    headers = [("X-Forwarded-For", line) for line in forwarded]
    transport = httpx.ASGITransport(front, client=(peer, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        return (await http.get("/api/thing", headers=headers)).status_code
