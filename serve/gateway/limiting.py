"""Which limit a request falls under, and whose bucket it takes from."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from serve.gateway.principals import Principal
from serve.gateway.rate_limits import Limit, RateLimits, Verdict

ADMIN = "/api/admin/"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Limits(NamedTuple):
    """`default` holds for each class of routes (read, write, staff) by itself; `strict`: operations with their own.

    The paths of `strict` may be templates. `address_factor`: callers' worth of requests that one address may send.
    """

    limiter: RateLimits
    default: Limit = Limit("default", per_minute=6000, burst=1000)
    strict: Mapping[tuple[str, str], Limit] = {}
    address_factor: int = 10


class Limiting:
    """Counts requests: by user and guest, by address for who is neither, and by address for all together.

    Guests' tokens cost nothing, so a caller is not only counted by the token. What is strict (logging in) is counted by
    the address alone, whatever token is sent with it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._read, self._write, self._staff = (limits.default._replace(group=g) for g in ("read", "write", "staff"))
        self._strict = {key: limit for key, limit in limits.strict.items() if "{" not in key[1]}
        self._templates = [
            (method, re.compile(re.sub(r"\\\{[^{}]+\\\}", "[^/]+", re.escape(path))), limit)
            for (method, path), limit in limits.strict.items()
            if "{" in path
        ]
        self._shared: dict[Limit, Limit] = {}

    def by_class(self, method: str, path: str) -> Limit:
        """The limit of a route that names none."""
        if path.startswith(ADMIN):
            return self._staff
        return self._read if method in _READING else self._write

    def strict(self, method: str, path: str) -> Limit | None:
        found = self._strict.get((method, path))
        if found is not None:
            return found
        for wanted, template, limit in self._templates:
            if wanted == method and template.fullmatch(path):
                return limit
        return None

    async def take(
        self, principal: Principal, address: str | None, limit: Limit, *, strict: bool = False
    ) -> Verdict | None:
        """The tightest of the buckets that count this request; None if none does, as nothing is known of the caller."""
        by_address = None if address is None else f"address:{address}"
        anonymous = principal.kind == "anonymous"
        if anonymous or (strict and by_address is not None):
            return None if by_address is None else await self._limits.limiter.take(by_address, limit)
        verdict = await self._limits.limiter.take(principal.key, limit)
        if by_address is None or not verdict.allowed:
            return verdict
        together = await self._limits.limiter.take(by_address, self._of_all(limit))
        return verdict if together.allowed and together.remaining >= verdict.remaining else together

    def _of_all(self, limit: Limit) -> Limit:
        found = self._shared.get(limit)
        if found is None:
            times = self._limits.address_factor
            found = Limit(f"{limit.group} of all", limit.per_minute * times, limit.burst * times)
            self._shared[limit] = found
        return found
