"""Token buckets, and whose address counts."""

import httpx
import pytest
from fastapi import FastAPI

from serve.gateway.front import Front, Limits
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
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
        # Whoever has one address of a /64 has them all.
        ((), "2001:db8:1:2:aaaa::1", None, "2001:db8:1:2::"),
        ((), "2001:db8:1:2:bbbb:cccc::9", None, "2001:db8:1:2::"),
        ((), "2001:db8:1:3::1", None, "2001:db8:1:3::"),
        ((), "::ffff:203.0.113.9", None, "203.0.113.9"),
        ((), "127.0.0.1", "1.2.3.4, 2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
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


class Names:
    """A token is its user's name; none begins with "bad"."""

    def known(self, token: str) -> Principal | None:
        return None if token.startswith("bad") else Principal("user", token)

    async def verify(self, token: str) -> Principal:
        raise Problem("invalid_token", "no")


def _classes() -> Front:
    routes = Routes()
    app = FastAPI()

    async def answer(_: Request) -> Response:
        return json({})

    routes.get("/api/thing", summary="Read")(answer)
    routes.post("/api/thing", summary="Write")(answer)
    routes.get("/api/admin/thing", summary="Staff")(answer)

    @app.post("/api/links/{token}")
    async def link(token: str) -> dict[str, str]:
        return {}

    strict = {("POST", "/api/links/{token}"): Limit("links", per_minute=1, burst=2)}
    limits = Limits(InProcessLimits(now=Time()), Limit("all", per_minute=60, burst=3), strict, address_factor=2)
    return Front(app, [routes], tokens=Names(), limits=limits)


async def _asked(front: Front, method: str, path: str, token: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(front, client=("203.0.113.9", 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        return await http.request(method, path, headers=headers)


async def test_each_class_of_routes_has_a_bucket_of_its_own() -> None:
    front = _classes()
    read = [(await _asked(front, "GET", "/api/thing", "ada")).status_code for _ in range(4)]
    others = [await _asked(front, "POST", "/api/thing", "ada"), await _asked(front, "GET", "/api/admin/thing", "ada")]
    assert read == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in others] == ["2", "2"]


async def test_many_tokens_do_not_make_an_address_more_than_it_is() -> None:
    front = _classes()
    seen = [(await _asked(front, "GET", "/api/thing", f"guest-{n}")) for n in range(7)]
    assert [answer.status_code for answer in seen] == [200] * 6 + [429]
    assert [answer.headers["ratelimit-remaining"] for answer in seen] == ["2", "2", "2", "2", "1", "0", "0"]
    assert seen[-1].headers["retry-after"] == "1"
    # The address itself, without a token, has a bucket besides.
    assert (await _asked(front, "GET", "/api/thing")).status_code == 200


async def test_bad_tokens_count() -> None:
    front = _classes()
    seen = [(await _asked(front, "GET", "/api/thing", f"bad-{n}")) for n in range(4)]
    assert [answer.status_code for answer in seen] == [401, 401, 401, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in seen] == ["2", "1", "0", "0"]


async def test_what_is_strict_counts_by_address_whatever_the_token_and_the_link() -> None:
    front = _classes()
    seen = [await _asked(front, "POST", f"/api/links/{n}", f"guest-{n}") for n in range(3)]
    assert [answer.status_code for answer in seen] == [200, 200, 429]
    assert seen[2].json()["code"] == "rate_limited"
    assert {answer.headers["ratelimit-limit"] for answer in seen} == {"2"}
