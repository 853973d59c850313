"""Access tokens for users (RS256, five minutes at most) and tokens for guests (HS256, the guest's cart id in them)."""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import jwt

from serve.gateway import clock
from serve.gateway.ended_sessions import NONE_ENDED, EndedSessions
from serve.gateway.keys import Keys
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem

ISSUER = "troupe"
MAX_ACCESS_SECONDS = 300
_USER_TYPE = "at+jwt"
_GUEST_TYPE = "guest+jwt"
GUEST_KID = "guest"
"""For gateways, which find the secret by it; here the type says enough."""
_LONGEST = 4096


class Tokens:
    """Issues and verifies tokens; what was verified is remembered until it expires, so most requests pay a look-up."""

    def __init__(
        self,
        keys: Keys,
        *,
        access_seconds: int = MAX_ACCESS_SECONDS,
        guest_days: int = 90,
        remembered: int = 20_000,
        ended: EndedSessions = NONE_ENDED,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`ended`: their tokens are refused.

        Raises ValueError when access tokens would live for more than five minutes: who verifies them by the published
        keys is not told that a session ended.
        """
        if not 0 < access_seconds <= MAX_ACCESS_SECONDS:
            raise ValueError(f"access tokens live 1 to {MAX_ACCESS_SECONDS} seconds, not {access_seconds}")
        self.access_seconds = access_seconds
        self._keys = keys
        self._guest_seconds = guest_days * 86_400
        self._remembered = remembered
        self._ended = ended
        self._now = now
        self._known: OrderedDict[str, tuple[Principal, int]] = OrderedDict()

    async def access(self, user_id: str, roles: Iterable[str], session: str) -> str:
        """A user's access token."""
        ring = await self._keys.ring()
        now = self._now() // 1000
        claims = {
            "iss": ISSUER,
            "sub": user_id,
            "sid": session,
            "roles": sorted(roles),
            "iat": now,
            "exp": now + self.access_seconds,
        }
        headers = {"kid": ring.kid, "typ": _USER_TYPE}
        return await asyncio.to_thread(jwt.encode, claims, ring.signing, "RS256", headers)

    async def guest(self, cart_id: str) -> str:
        """The token of the guest whose cart has this id."""
        ring = await self._keys.ring()
        now = self._now() // 1000
        claims = {"iss": ISSUER, "sub": cart_id, "iat": now, "exp": now + self._guest_seconds}
        token = jwt.encode(claims, ring.guest_secret, "HS256", {"typ": _GUEST_TYPE, "kid": GUEST_KID})
        # Its holder is about to come back with it.
        self._remember(token, Principal("guest", cart_id), now + self._guest_seconds)
        return token

    async def secret(self, purpose: str) -> bytes:
        """For signing what is no token of ours: another one for each purpose."""
        ring = await self._keys.ring()
        return hmac.new(ring.guest_secret, purpose.encode(), sha256).digest()

    def known(self, token: str) -> Principal | None:
        found = self._known.get(token)
        if found is None:
            return None
        principal, expires = found
        if expires <= self._now() or principal.session in self._ended:
            del self._known[token]
            return None
        self._known.move_to_end(token)
        return principal

    async def verify(self, token: str) -> Principal:
        """Raises Problem `invalid_token`."""
        if len(token) > _LONGEST:
            raise _invalid("It is too long.")
        try:
            header = jwt.get_unverified_header(token)
            # The type decides which key and algorithm are tried; the token's own word on the algorithm counts nothing.
            if header.get("typ") == _GUEST_TYPE:
                claims = self._decoded(token, (await self._keys.ring()).guest_secret, "HS256")
                principal = Principal("guest", claims["sub"])
            else:
                claims = await self._user_claims(token, header)
                principal = Principal("user", claims["sub"], frozenset(claims["roles"]), claims["sid"])
        except jwt.PyJWTError:
            raise _invalid("It is not one of ours.") from None
        if claims["exp"] * 1000 <= self._now():
            raise _invalid("It has expired.")
        if principal.session in self._ended:
            raise _invalid("Its session has ended.")
        self._remember(token, principal, claims["exp"])
        return principal

    def _remember(self, token: str, principal: Principal, expires: int) -> None:
        self._known[token] = (principal, expires * 1000)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    async def _user_claims(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        kid = str(header.get("kid", ""))
        key = (await self._keys.ring(kid)).verifying.get(kid)
        if header.get("typ") != _USER_TYPE or key is None:
            raise jwt.InvalidTokenError
        return self._decoded(token, key, "RS256", "sid", "roles")

    @staticmethod
    def _decoded(token: str, key: Any, algorithm: str, *required: str) -> dict[str, Any]:
        # Expiry is checked by our own clock, the one that the token was made by.
        options: Any = {"require": ["sub", "exp", "iss", *required], "verify_exp": False, "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], issuer=ISSUER, options=options)
        return claims


def _invalid(detail: str) -> Problem:
    return Problem(
        "invalid_token",
        f"The token cannot be used. {detail}",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
