"""Sessions: for how long we believe who someone is."""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256

import sqlalchemy as sa

from serve.gateway import clock
from serve.gateway.passwords import Passwords
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.gateway.rate_limits import InProcessLimits, Limit, RateLimits
from serve.gateway.tokens import Tokens
from serve.users.accounts import user_body
from serve.users.accounts_store import AccountsStore
from serve.users.schemas import LogIn, SessionBody
from serve.users.sessions_store import SessionsStore
from serve.users.tables import Session, User, folded

LEEWAY = 10_000
"""Milliseconds in which an exchange may be repeated: its answer may have been lost, or two tabs were at it."""
_DAY = 86_400_000
_ATTEMPTS = Limit("log-in", per_minute=10, burst=10)


class Sessions:
    """`refresh_days`: how long a session lives without being used."""

    def __init__(
        self,
        engine: sa.Engine,
        tokens: Tokens,
        passwords: Passwords,
        *,
        refresh_days: int = 30,
        limits: RateLimits | None = None,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._store = SessionsStore(engine)
        self._accounts = AccountsStore(engine)
        self._tokens = tokens
        self._passwords = passwords
        self._refresh_ms = refresh_days * _DAY
        self._limits = limits or InProcessLimits()
        self._now = now

    async def log_in(self, sent: LogIn) -> SessionBody:
        """Raises Problem `wrong_credentials` or `rate_limited`, Overloaded."""
        email = folded(sent.email)
        verdict = await self._limits.take(f"log-in:{email}", _ATTEMPTS)
        if not verdict.allowed:
            raise verdict.problem()
        user = await asyncio.to_thread(self._accounts.by_email, email)
        if not await self._passwords.verify(sent.password, user.password if user is not None else None) or user is None:
            raise Problem("wrong_credentials", "The email address or the password is wrong.")
        if self._passwords.is_outdated(user.password):
            await asyncio.to_thread(
                lambda again: self._accounts.change(user.id, password=again), await self._passwords.hash(sent.password)
            )
        now = self._now()
        session = Session(secrets.token_hex(16), user.id, secrets.token_bytes(32), 0, now, now, now + self._refresh_ms)
        await asyncio.to_thread(self._store.open_session, session)
        return await self._session_body(user, session, 0)

    async def refresh(self, token: str) -> SessionBody:
        """Exchanges a refresh token for new tokens.

        One that was exchanged before is in two hands: the session ends. But within LEEWAY its repetition gets the
        token that the exchange made. Raises Problem `invalid_token`.
        """
        session, generation = await self._checked(token)
        now = self._now()
        counted = generation == session.generation and await asyncio.to_thread(
            self._store.exchange, session.id, generation, now, now + self._refresh_ms
        )
        if not counted:
            await self._check_repetition(session.id, generation, now)
        user = await asyncio.to_thread(self._accounts.by_id, session.user_id)
        if user is None:
            raise _no_session()
        return await self._session_body(user, session, generation + 1)

    async def _checked(self, token: str) -> tuple[Session, int]:
        session_id, _, rest = token.partition(".")
        generation, _, _ = rest.partition(".")
        session = await asyncio.to_thread(self._store.session, session_id)
        if session is None or not (generation.isascii() and generation.isdigit() and len(generation) < 10):
            raise _no_session()
        genuine = _refresh_token(session, int(generation))
        if not hmac.compare_digest(token.encode(), genuine.encode()):
            raise _no_session()
        if session.ended is not None or session.expires_at <= self._now():
            raise _no_session()
        return session, int(generation)

    async def _check_repetition(self, session_id: str, generation: int, now: int) -> None:
        session = await asyncio.to_thread(self._store.session, session_id)
        if session is None or session.ended is not None:
            raise _no_session()
        if session.generation == generation + 1 and now - session.exchanged_at <= LEEWAY:
            return
        await asyncio.to_thread(self._store.end_session, session_id, "reuse")
        raise _no_session()

    async def log_out(self, principal: Principal) -> None:
        """Ends the session that the access token belongs to; the token itself lives on for its five minutes."""
        await asyncio.to_thread(self._store.end_session, principal.session, "log_out")

    async def log_out_everywhere(self, principal: Principal) -> None:
        await asyncio.to_thread(self._store.end_sessions, principal.id, "log_out")

    async def _session_body(self, user: User, session: Session, generation: int) -> SessionBody:
        return SessionBody(
            access_token=await self._tokens.access(user.id, user.roles, session.id),
            refresh_token=_refresh_token(session, generation),
            expires_in=self._tokens.access_seconds,
            user=user_body(user),
        )


def _refresh_token(session: Session, generation: int) -> str:
    mac = hmac.new(session.secret, f"{session.id}.{generation}".encode(), sha256).hexdigest()
    return f"{session.id}.{generation}.{mac}"


def _no_session() -> Problem:
    return Problem("invalid_token", "The session has ended; log in again.")
