"""How often one caller may call: a token bucket a caller and group of routes."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from serve.gateway import clock
from serve.gateway.problems import Problem


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
        missing = limit.burst - left if allowed else 1 - left
        return Verdict(allowed, limit.burst, int(left), max(1, math.ceil(missing / rate)))


class Addresses:
    """Finds the address of a caller behind proxies that are trusted to say it."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]
        # Parsing addresses would cost more than everything else that is done to an anonymous request.
        self.of = lru_cache(10_000)(self._of)

    def _is_trusted(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._trusted)

    def _of(self, peer: str, forwarded_for: str | None) -> str | None:
        """The nearest address that is not a trusted proxy's; None when it tells nothing about the caller.

        Serve's own proxy stands on this machine and adds no X-Forwarded-For, so behind it everyone comes from
        the loopback address: one bucket for all of them would let one caller lock out the others.
        """
        hops = [peer, *reversed([h.strip() for h in (forwarded_for or "").split(",") if h.strip()])]
        for hop in hops:
            try:
                address = ipaddress.ip_address(hop)
            except ValueError:
                return None
            if not self._is_trusted(address):
                return None if address.is_loopback else str(address)
        return None
