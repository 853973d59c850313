"""Who is calling: a user, a guest with a signed token, or nobody in particular."""

from typing import Literal, Protocol

import msgspec

Access = Literal["anyone", "shopper", "user", "staff"]
STAFF_ROLES = frozenset({"staff", "admin"})


class Principal(msgspec.Struct, frozen=True):
    """`id` is a user id, a guest's cart id, or empty for anonymous callers. `session` is set for users only."""

    kind: Literal["user", "guest", "anonymous"]
    id: str = ""
    roles: frozenset[str] = frozenset()
    session: str = ""

    @property
    def key(self) -> str:
        """What idempotency keys and rate limits are kept under; never shared by two callers, but for anonymous ones."""
        return f"{self.kind}:{self.id}"

    @property
    def is_staff(self) -> bool:
        return self.kind == "user" and not self.roles.isdisjoint(STAFF_ROLES)

    def may(self, access: Access) -> bool:
        """Whether routes of this access are open to the caller."""
        if access == "anyone":
            return True
        if access == "shopper":
            return self.kind != "anonymous"
        if access == "user":
            return self.kind == "user"
        return self.is_staff


ANONYMOUS = Principal("anonymous")


class Authenticates(Protocol):
    """Turns a bearer token into a principal."""

    def known(self, token: str) -> Principal | None:
        """The answer for a token verified a moment ago and not expired since, without any work."""

    async def verify(self, token: str) -> Principal:
        """Raises Problem `invalid_token` when the token is not ours, expired, or not a token."""


class NoTokens:
    """For an application without users: every token is refused."""

    def known(self, token: str) -> Principal | None:
        return None

    async def verify(self, token: str) -> Principal:
        from serve.gateway.problems import Problem

        raise Problem("invalid_token", "This service knows no tokens.")
