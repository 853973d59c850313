"""How often one caller may call: a token bucket a caller and group of routes."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from serve.gateway import clock
from serve.gateway.problems import Problem

# What is longer is no address, and must not be remembered for long.
LONGEST_ADDRESS = 64


class Limit(NamedTuple):
    """`burst` calls at once, filled up again at `per_minute`. `group` names the bucket."""

    group: str
    per_minute: int
    burst: int


class Verdict(NamedTuple):
    """`seconds`: until the bucket is full again, or, when not allowed, until the next call is."""

    allowed: bool
    limit: int
    remaining: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.seconds),
        }

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI wants them."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.seconds),
        ]

    def problem(self) -> Problem:
        return Problem(
            "rate_limited",
            f"At most {self.limit} requests at once; the next is possible in {self.seconds} s.",
            headers={**self.headers, "Retry-After": str(self.seconds)},
        )


class RateLimits(Protocol):
    async def take(self, caller: str, limit: Limit) -> Verdict:
        """Counts one call of `caller`; never raises: a limiter out of order lets calls pass."""


class InProcessLimits:
    """Buckets in this process's memory; the least recently used ones are forgotten beyond `capacity`."""

    def __init__(self, capacity: int = 100_000, now: Callable[[], float] = clock.monotonic) -> None:
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._capacity = capacity
        self._now = now

    async def take(self, caller: str, limit: Limit) -> Verdict:
        key = (limit.group, caller)
        now = self._now()
        rate = limit.per_minute / 60
        left, since = self._buckets.get(key, (float(limit.burst), now))
        left = min(float(limit.burst), left + (now - since) * rate)
        allowed = left >= 1
        left -= allowed
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return verdict_of(limit, allowed, left)


def verdict_of(limit: Limit, allowed: bool, left: float) -> Verdict:
    """`left` in the bucket, after this call."""
    missing = limit.burst - left if allowed else 1 - left
    return Verdict(allowed, limit.burst, int(left), max(1, math.ceil(missing * 60 / limit.per_minute)))


class _Hop(NamedTuple):
    address: str
    trusted: bool
    loopback: bool


class Addresses:
    """Finds the address of a caller behind the shop's own balancer, and proxies that are `trusted` to say it."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]
        # Parsing addresses would cost more than everything else that is done to an anonymous request.
        self._hop = lru_cache(10_000)(self._look)

    def of(self, peer: str, forwarded_for: str | None) -> str | None:
        """The nearest address that is not a trusted proxy's; None when it tells nothing about the caller.

        Serve's balancer stands on this machine and says last in X-Forwarded-For who called it: that is believed, and
        what stands before it only if a trusted proxy said so, since callers may write there what they like. A caller
        from the loopback address may be a proxy that nobody named: one bucket for all behind it would let one of them
        lock out the others, so it tells nothing.
        """
        hop, left, from_balancer = peer, forwarded_for or "", bool(forwarded_for)
        while (found := self._hop(hop) if len(hop) <= LONGEST_ADDRESS else None) is not None:
            if not (found.trusted or (from_balancer and found.loopback)):
                return None if found.loopback else found.address
            left, _, hop = left.rstrip(", ").rpartition(",")
            hop, from_balancer = hop.strip(), False
        return None

    def _look(self, hop: str) -> _Hop | None:
        try:
            address = ipaddress.ip_address(hop)
        except ValueError:
            return None
        trusted = any(address in network for network in self._trusted)
        loopback = address.is_loopback
        if isinstance(address, ipaddress.IPv6Address):
            # Whoever has one of these has the whole /64 around it.
            network = ipaddress.IPv6Network((address, 64), strict=False)
            address = address.ipv4_mapped or network.network_address
        return _Hop(str(address), trusted, loopback)
