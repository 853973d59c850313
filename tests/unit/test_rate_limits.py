"""Token buckets, and whose address counts."""

import pytest

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
        ((), "127.0.0.1", "198.51.100.1", None),
        (("127.0.0.0/8",), "127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ((), "::1", None, None),
        ((), "", None, None),
    ],
)
def test_whose_address_counts(trusted: tuple[str, ...], peer: str, forwarded: str | None, found: str | None) -> None:
    assert Addresses(trusted).of(peer, forwarded) == found
