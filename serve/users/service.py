"""Accounts and sessions: who someone is, and for how long we believe it."""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Iterable
from hashlib import sha256

import sqlalchemy as sa
import uuid_utils

from serve.gateway import clock
from serve.gateway.passwords import Passwords, check_strength
from serve.gateway.principals import STAFF_ROLES, Principal
from serve.gateway.problems import Problem
from serve.gateway.rate_limits import InProcessLimits, Limit, RateLimits
from serve.gateway.tokens import Tokens
from serve.users.schemas import LogIn, ProfileChange, Registration, SessionBody, UserBody
from serve.users.store import EmailTaken, Session, Store, User

LEEWAY = 10_000
"""Milliseconds in which an exchange may be repeated: its answer may have been lost, or two tabs were at it."""
_DAY = 86_400_000
_ATTEMPTS = Limit("log-in", per_minute=10, burst=10)


class Users:
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
        self._store = Store(engine)
        self._tokens = tokens
        self._passwords = passwords
        self._refresh_ms = refresh_days * _DAY
        self._limits = limits or InProcessLimits()
        self._now = now

    async def register(self, wanted: Registration, command_id: str | None = None) -> UserBody:
        """Makes an account. A repetition with the same command id and password finds it made.

        Raises Problem `weak_password` or `email_taken`, Overloaded.
        """
        return _body(await self._register(wanted, (), command_id))

    async def create_staff(self, email: str, password: str, name: str, roles: Iterable[str] = ("staff",)) -> UserBody:
        """For the command line. Raises ValueError for unknown roles, Problem like `register`."""
        if unknown := set(roles) - STAFF_ROLES:
            raise ValueError(f"unknown roles {sorted(unknown)}; there are {sorted(STAFF_ROLES)}")
        wanted = Registration(email=email, password=password, name=name)
        return _body(await self._register(wanted, tuple(sorted(set(roles))), None))

    async def grant(self, email: str, roles: Iterable[str]) -> UserBody:
        """Sets the roles of an account; they count from its next access token. Raises Problem `not_found`."""
        user = await asyncio.to_thread(self._store.by_email, _folded(email))
        changed = await asyncio.to_thread(self._store.grant, user.id, tuple(roles)) if user is not None else None
        if changed is None:
            raise Problem("not_found", "There is no such account.")
        return _body(changed)

    async def _register(self, wanted: Registration, roles: tuple[str, ...], command_id: str | None) -> User:
        email = _folded(wanted.email)
        check_strength(wanted.password, email, wanted.name)
        hashed = await self._passwords.hash(wanted.password)
        user = User(str(uuid_utils.uuid7()), email, wanted.name, hashed, roles, self._now(), 1, command_id)
        try:
            await asyncio.to_thread(self._store.add, user)
        except EmailTaken:
            return await self._registered_before(email, wanted.password, command_id)
        return user

    async def _registered_before(self, email: str, password: str, command_id: str | None) -> User:
        # Anonymous callers share their keys, so the key alone proves nothing: the password must be right as well.
        found = await asyncio.to_thread(self._store.by_email, email)
        same_command = found is not None and command_id is not None and found.registered_by == command_id
        if found is None or not same_command or not await self._passwords.verify(password, found.password):
            raise Problem("email_taken", "Log in, or use another address.")
        return found

    async def log_in(self, sent: LogIn) -> SessionBody:
        """Raises Problem `wrong_credentials` or `rate_limited`, Overloaded."""
        email = _folded(sent.email)
        verdict = await self._limits.take(f"log-in:{email}", _ATTEMPTS)
        if not verdict.allowed:
            raise verdict.problem()
        user = await asyncio.to_thread(self._store.by_email, email)
        if not await self._passwords.verify(sent.password, user.password if user is not None else None) or user is None:
            raise Problem("wrong_credentials", "The email address or the password is wrong.")
        if self._passwords.is_outdated(user.password):
            await asyncio.to_thread(
                lambda again: self._store.change(user.id, password=again), await self._passwords.hash(sent.password)
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
        user = await asyncio.to_thread(self._store.by_id, session.user_id)
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

    async def profile(self, user_id: str) -> UserBody:
        """Also for other services that need a person's name or address now. Raises Problem `not_found`."""
        return _body(await self._found(user_id))

    async def change_profile(self, principal: Principal, change: ProfileChange) -> UserBody:
        """Raises Problem `wrong_credentials`, `weak_password` or `not_found`, Overloaded."""
        user = await self._found(principal.id)
        hashed = None
        if change.password is not None:
            if not await self._passwords.verify(change.current_password or "", user.password):
                raise Problem("wrong_credentials", "current_password is wrong.", status=403)
            check_strength(change.password, user.email, change.name or user.name)
            hashed = await self._passwords.hash(change.password)
        changed = await asyncio.to_thread(self._store_change, user.id, change.name, hashed)
        if hashed is not None:
            await asyncio.to_thread(self._store.end_sessions, user.id, "password", principal.session)
        return _body(changed)

    def _store_change(self, user_id: str, name: str | None, password: str | None) -> User:
        changed = self._store.change(user_id, name=name, password=password)
        if changed is None:
            raise Problem("not_found", "There is no such account.")
        return changed

    async def _found(self, user_id: str) -> User:
        user = await asyncio.to_thread(self._store.by_id, user_id)
        if user is None:
            raise Problem("not_found", "There is no such account.")
        return user

    async def _session_body(self, user: User, session: Session, generation: int) -> SessionBody:
        return SessionBody(
            access_token=await self._tokens.access(user.id, user.roles, session.id),
            refresh_token=_refresh_token(session, generation),
            expires_in=self._tokens.access_seconds,
            user=_body(user),
        )


def _folded(email: str) -> str:
    return email.strip().casefold()


def _refresh_token(session: Session, generation: int) -> str:
    mac = hmac.new(session.secret, f"{session.id}.{generation}".encode(), sha256).hexdigest()
    return f"{session.id}.{generation}.{mac}"


def _no_session() -> Problem:
    return Problem("invalid_token", "The session has ended; log in again.")


def _body(user: User) -> UserBody:
    return UserBody(id=user.id, email=user.email, name=user.name, roles=list(user.roles), created_at=user.created_at)
