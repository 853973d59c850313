"""What a browser carries while its owner is away at a provider: a signed cookie that nobody else has."""

import base64
import hmac
import secrets
from hashlib import sha256

import msgspec

from serve.users.social.providers import Going

LASTS = 10 * 60_000
"""Milliseconds that one may take at the provider."""


class Journey(msgspec.Struct, frozen=True):
    """`kept`: the session shall lie unused for longer. `session`, `user`: of who wants to link the identity to the
    account that is logged in to; else empty."""

    provider: str
    state: str
    nonce: str
    verifier: str
    expires_at: int
    kept: bool = False
    user: str = ""
    session: str = ""

    @property
    def going(self) -> Going:
        return Going(self.state, self.nonce, self.verifier)

    @property
    def cookie(self) -> str:
        return cookie_of(self.state)


def begin(provider: str, now: int, kept: bool = False, user: str = "", session: str = "") -> Journey:
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Journey(provider, state, nonce, verifier, now + LASTS, kept, user, session)


def cookie_of(state: str) -> str:
    """Each journey has its own, so that two tabs do not disturb each other."""
    return f"troupe_oauth_{sha256(state.encode()).hexdigest()[:16]}"


def sealed(secret: bytes, journey: Journey) -> str:
    body = base64.urlsafe_b64encode(msgspec.json.encode(journey)).decode().rstrip("=")
    return f"{body}.{_mac(secret, body)}"


def opened(secret: bytes, sent: str | None, provider: str, state: str, now: int) -> Journey | None:
    """None: it is not ours, not this one, or took too long."""
    body, _, mac = (sent or "").partition(".")
    if not hmac.compare_digest(mac.encode(), _mac(secret, body).encode()):
        return None
    journey = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Journey)
    same = journey.provider == provider and hmac.compare_digest(journey.state.encode(), state.encode())
    return journey if same and journey.expires_at > now else None


def _mac(secret: bytes, body: str) -> str:
    return hmac.new(secret, body.encode(), sha256).hexdigest()
