"""Sessions: for how long we believe who someone is."""

import asyncio
import hmac
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import sqlalchemy as sa

from serve.gateway import clock
from serve.gateway.passwords import Passwords
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.gateway.tokens import Tokens
from serve.users.accounts import user_body
from serve.users.accounts_store import AccountsStore
from serve.users.attempts import Attempt, AttemptsStore, attempt
from serve.users.devices import Arrival, device_token, known_device
from serve.users.ended_sessions import PolledEndedSessions
from serve.users.schemas import LogIn, SessionBody, SessionInfo, SessionList
from serve.users.sessions_store import Opening, SessionsStore
from serve.users.tables import Session, User, folded

LEEWAY = 10_000
"""Milliseconds in which an exchange may be repeated: its answer may have been lost, or two tabs were at it."""
_DAY = 86_400_000


@dataclass(frozen=True)
class Lifetimes:
    """Days that a session may lie unused, also one of somebody who wants to stay logged in (`long`); `most`: days after
    which it ends however much it is used."""

    short: int = 1
    long: int = 30
    most: int = 90

    def expiry(self, started_at: int, now: int, kept: bool) -> int:
        """When a session that is used now ends; UTC in milliseconds."""
        unused = self.long if kept else self.short
        return min(now + unused * _DAY, started_at + self.most * _DAY)


class Sessions:
    """`ended`: is told at once what ends here."""

    def __init__(
        self,
        engine: sa.Engine,
        tokens: Tokens,
        passwords: Passwords,
        *,
        lifetimes: Lifetimes | None = None,
        ended: PolledEndedSessions | None = None,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._store = SessionsStore(engine)
        self._accounts = AccountsStore(engine)
        self._attempts = AttemptsStore(engine)
        self._tokens = tokens
        self._passwords = passwords
        self._lifetimes = lifetimes or Lifetimes()
        self._ended = ended
        self._now = now

    async def log_in(self, sent: LogIn, arrival: Arrival) -> SessionBody:
        """Raises Problem `wrong_credentials` or `rate_limited`, Overloaded."""
        email = folded(sent.email)
        user = await asyncio.to_thread(self._accounts.by_email, email)
        secret = await self._tokens.secret("devices")
        device = known_device(secret, user.id if user is not None else "", sent.device_token)
        made = attempt(await self._tokens.secret("attempts"), email, arrival.address, device)
        await self._count(made)
        try:
            right = await self._passwords.verify(sent.password, user.password if user is not None else None)
            rehashed = await self._rehashed(user, sent.password) if right else None
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._attempts.undecided, made, self._now()))
            raise
        if user is None or not right:
            raise _wrong()
        await asyncio.to_thread(self._attempts.succeeded, made, self._now())
        kept = sent.keep_me_logged_in
        return await self.open(user, arrival, "password", kept, sent.device_token, user.password, rehashed)

    async def _count(self, made: Attempt) -> None:
        wait = await asyncio.to_thread(self._attempts.begin, made, self._now())
        if wait > 0:
            seconds = math.ceil(wait / 1000)
            detail = f"There were too many failed attempts; the next is possible in {seconds} s."
            raise Problem("rate_limited", detail, headers={"Retry-After": str(seconds)})

    async def _rehashed(self, user: User | None, password: str) -> str | None:
        if user is None or not self._passwords.is_outdated(user.password):
            return None
        return await self._passwords.hash(password)

    async def open(
        self,
        user: User,
        arrival: Arrival,
        by: str,
        kept: bool,
        token: str | None = None,
        verified: str | None = None,
        rehashed: str | None = None,
    ) -> SessionBody:
        """A session for somebody who has proven to be the user. `by`: password, or a provider's name; `token`: the
        device's, if it has one; `verified`: the hash that the password was right for, `rehashed` what takes its place.

        Raises Problem `wrong_credentials` when the account has gone or got another password since.
        """
        now = self._now()
        device = await arrival.device()
        secret = await self._tokens.secret("devices")
        name = known_device(secret, user.id, token)
        # Nobody needs a warning of the first log-in, nor of one from where there was one lately.
        known = name is not None or user.logged_in_at is None
        known = known or await asyncio.to_thread(self._store.has_seen, user.id, device, arrival.network)
        session = Session(
            id=secrets.token_hex(16),
            user_id=user.id,
            secret=secrets.token_bytes(32),
            generation=0,
            created_at=now,
            exchanged_at=now,
            expires_at=self._lifetimes.expiry(now, now, kept),
            device=device,
            address=arrival.network,
            kept=kept,
        )
        opening = Opening(by, known, verified, rehashed)
        opened = await asyncio.to_thread(self._store.open_session, session, opening)
        if opened is None:
            raise _wrong()
        self._tell_ended(opened)
        body = await self._session_body(user, session, 0)
        return body.model_copy(update={"device_token": device_token(secret, user.id, name)})

    async def refresh(self, token: str, arrival: Arrival) -> SessionBody:
        """Exchanges a refresh token for new tokens.

        One that was exchanged before is in two hands: the session ends. But within LEEWAY its repetition gets the
        token that the exchange made. Raises Problem `invalid_token`.
        """
        session, generation = await self._checked(token)
        now = self._now()
        used = msgspec.structs.replace(session, device=await arrival.device(), address=arrival.network)
        expiry = self._lifetimes.expiry(session.created_at, now, session.kept)
        counted = generation == session.generation and await asyncio.to_thread(
            self._store.exchange, used, generation, now, expiry
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
        self._tell_ended(await asyncio.to_thread(self._store.end_session, session_id, "reuse", self._now()))
        raise _no_session()

    async def list(self, principal: Principal) -> SessionList:
        """Where the user is logged in, the place of the last use first."""
        found = await asyncio.to_thread(self._store.of_user, principal.id, self._now())
        return SessionList(items=[_info(session, principal.session) for session in found])

    async def end(self, principal: Principal, session_id: str) -> None:
        """Raises Problem `not_found` when the user has no such session."""
        ended = await asyncio.to_thread(self._store.end_session, session_id, "log_out", self._now(), principal.id)
        if not ended:
            raise Problem("not_found", "You have no such session.")
        self._tell_ended(ended)

    async def log_out(self, principal: Principal) -> None:
        """Ends the session that the access token belongs to."""
        self._tell_ended(await asyncio.to_thread(self._store.end_session, principal.session, "log_out", self._now()))

    async def log_out_everywhere(self, principal: Principal) -> None:
        self._tell_ended(await asyncio.to_thread(self._store.end_sessions, principal.id, "log_out", self._now()))

    def _tell_ended(self, sessions: Sequence[str]) -> None:
        if self._ended is not None:
            self._ended.add(*sessions)

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


def _wrong() -> Problem:
    return Problem("wrong_credentials", "The email address or the password is wrong.")


def _info(session: Session, current: str) -> SessionInfo:
    return SessionInfo(
        id=session.id,
        device=session.device,
        address=session.address,
        created_at=session.created_at,
        used_at=session.exchanged_at,
        expires_at=session.expires_at,
        keep_me_logged_in=session.kept,
        current=session.id == current,
    )
