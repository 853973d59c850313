"""Social log-in: accounts that are logged in to with an identity at a provider."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa
import uuid_utils

from serve.gateway import clock
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, declare
from serve.gateway.tokens import Tokens
from serve.users.accounts import CONFIRMATION_SECONDS, RECENT
from serve.users.accounts_store import AccountsStore
from serve.users.devices import Arrival
from serve.users.links import new_link
from serve.users.schemas import SessionBody
from serve.users.sessions import Sessions
from serve.users.sessions_store import SessionsStore
from serve.users.social import journey
from serve.users.social.journey import Journey
from serve.users.social.providers import Person, Provider
from serve.users.social.store import Code, IdentitiesStore, IdentityTaken, LastWayIn
from serve.users.tables import EmailTaken, User, folded

CODE_LASTS = 60_000
"""Milliseconds in which a one-time code is exchanged for a session."""

declare("log_in_expired", 400, "The log-in took too long, or was begun elsewhere")
declare("account_exists", 409, "This email address has an account")
declare("identity_taken", 409, "The identity belongs to another account")
declare("email_missing", 409, "The provider told no email address")
declare("last_way_in", 409, "There would be no way to log in")


class Came(NamedTuple):
    """What a provider sends a browser back with."""

    state: str
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


class Social:
    """`sessions` opens them."""

    def __init__(
        self,
        engine: sa.Engine,
        sessions: Sessions,
        tokens: Tokens,
        providers: Sequence[Provider],
        *,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self.providers: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self._store = IdentitiesStore(engine)
        self._accounts = AccountsStore(engine)
        self._sessions_store = SessionsStore(engine)
        self._sessions = sessions
        self._tokens = tokens
        self._now = now

    async def begin(self, name: str, kept: bool = False, who: Principal | None = None) -> tuple[str, Journey, str]:
        """Where to send the browser, and what it carries, sealed. `who` wants to link the identity.

        Raises Problem `not_found`, `password_needed`, `provider_unavailable` or `provider_unusable`.
        """
        provider = self._provider(name)
        if who is not None:
            # A stolen access token must not become a way in of its own.
            session = await asyncio.to_thread(self._sessions_store.session, who.session)
            if session is None or self._now() - session.created_at > RECENT:
                raise Problem("password_needed", "Log in again, then link it.")
        made = journey.begin(name, self._now(), kept, who.id if who else "", who.session if who else "")
        url = await provider.way(made.going)
        return url, made, journey.sealed(await self._secret(), made)

    async def arrived(self, name: str, came: Came, cookie: str | None) -> tuple[Journey, Person]:
        """Who came back, and from which journey. Raises Problem `log_in_expired`, and like a provider's `person`."""
        provider = self._provider(name)
        made = journey.opened(await self._secret(), cookie, name, came.state, self._now())
        if made is None:
            raise Problem("log_in_expired", "Begin the log-in again, in this browser.")
        if came.issuer is not None and provider.issuer and came.issuer != provider.issuer:
            raise Problem("provider_unusable", "The answer came from another provider.")
        if came.error is not None or not came.code:
            raise Problem("provider_refused", f"{name} did not log you in, or you did not want it to.")
        return made, await provider.person(came.code, made.going)

    async def link(self, made: Journey, person: Person) -> None:
        """Raises Problem `identity_taken`, or `invalid_token`: the session in which it was begun has ended."""
        session = await asyncio.to_thread(self._sessions_store.session, made.session)
        now = self._now()
        if session is None or session.ended is not None or session.expires_at <= now or session.user_id != made.user:
            raise Problem("invalid_token", "The session has ended; log in again.")
        try:
            await asyncio.to_thread(self._store.link, made.user, made.provider, person.subject, now)
        except IdentityTaken:
            raise Problem("identity_taken", "Unlink it there first.") from None
        except LookupError:
            raise Problem("not_found", "There is no such account.") from None

    async def user(self, provider: str, person: Person) -> User:
        """Whose identity it is; whoever is new gets an account. Raises Problem `account_exists` or `email_missing`.

        An account that happens to have the same address is never given away: whoever made it may not be who came, and
        whoever came may not be who made it.
        """
        found = await asyncio.to_thread(self._store.user_of, provider, person.subject)
        return found or await self._registered(provider, person)

    async def _registered(self, provider: str, person: Person) -> User:
        if person.email is None:
            raise Problem("email_missing", "Register with an address and a password, then link the identity.")
        now = self._now()
        user = User(
            id=str(uuid_utils.uuid7()),
            email=folded(person.email),
            name=person.name or person.email.partition("@")[0][:200],
            password="",
            roles=(),
            created_at=now,
            version=1,
            confirmed_at=now if person.confirmed else None,
        )
        confirm = new_link(user.id, "confirm_email", user.email, now, CONFIRMATION_SECONDS * 1000)
        link = None if person.confirmed else confirm
        try:
            await asyncio.to_thread(self._store.register, user, provider, person.subject, link)
        except IdentityTaken:  # two answers of one journey at once
            return await self.user(provider, person)
        except EmailTaken:
            raise Problem("account_exists", "Log in to it, then link the identity.") from None
        return user

    async def open(
        self, user: User, provider: str, arrival: Arrival, kept: bool, device_token: str | None = None
    ) -> SessionBody:
        try:
            return await self._sessions.open(user, arrival, provider, kept, device_token)
        except Problem as problem:
            if problem.code != "wrong_credentials":
                raise
            raise Problem("log_in_expired", "The identity is no way into this account any more.") from None

    async def code(self, user: User, provider: str, kept: bool) -> tuple[str, str]:
        """A one-time code for a session, and what the browser that may exchange it keeps."""
        code, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self._now()
        stands_for = Code(user.id, provider, kept)
        await asyncio.to_thread(self._store.keep_code, _hash(code), _hash(browser), stands_for, now, now + CODE_LASTS)
        return code, browser

    async def exchange(
        self, code: str, browser: str | None, arrival: Arrival, device_token: str | None = None
    ) -> SessionBody:
        """Raises Problem `log_in_expired`."""
        found = await asyncio.to_thread(self._store.use_code, _hash(code), _hash(browser or ""), self._now())
        user = await asyncio.to_thread(self._accounts.by_id, found.user_id) if found is not None else None
        if found is None or user is None:
            raise Problem("log_in_expired", "The code was used, has expired, or was made for another browser.")
        return await self.open(user, found.provider, arrival, found.kept, device_token)

    async def linked(self, user_id: str) -> list[tuple[str, int]]:
        return await asyncio.to_thread(self._store.of_user, user_id)

    async def unlink(self, user_id: str, provider: str) -> None:
        """Raises Problem `not_found` or `last_way_in`."""
        try:
            unlinked = await asyncio.to_thread(self._store.unlink, user_id, provider, self._now())
        except LastWayIn:
            raise Problem("last_way_in", "Set a password, or link another identity first.") from None
        if not unlinked:
            raise Problem("not_found", "It is not linked.")

    def _provider(self, name: str) -> Provider:
        found = self.providers.get(name)
        if found is None:
            raise Problem("not_found", "There is no such provider.")
        return found

    async def _secret(self) -> bytes:
        return await self._tokens.secret("social log-in")


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
