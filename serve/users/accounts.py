"""Accounts: who someone is, and what belongs to them."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn

import sqlalchemy as sa
import uuid_utils

from actors.runtime.ports import KeyReused
from serve.gateway import clock
from serve.gateway.passwords import Passwords, check_strength
from serve.gateway.principals import ANONYMOUS, STAFF_ROLES, Principal
from serve.gateway.problems import Problem, declare
from serve.gateway.rate_limits import InProcessLimits, Limit, RateLimits
from serve.users.accounts_store import LinkUsed, MailedLately
from serve.users.activity import Activity
from serve.users.addresses import AddressBook
from serve.users.links import LinkRow, Purpose, new_link
from serve.users.people import People
from serve.users.schemas import ActivityItem, ExportBody, ProfileBody, ProfileChange, Registration, UserBody
from serve.users.sessions_store import SessionsStore
from serve.users.tables import EmailTaken, Session, User, folded

RECENT = 10 * 60_000
"""Milliseconds after a log-in in which the password need not be given again."""
EXPORTED = 1000
"""Entries of the activity page in an export: the newest ones."""
CONFIRMATION_SECONDS = 7 * 86_400
_PASSWORDS = Limit("password", per_minute=10, burst=10)

declare("link_unusable", 410, "The link was used, has expired, or never was one")
declare("already_confirmed", 409, "The address is confirmed")
declare("password_needed", 403, "The password is needed")

Listing = Callable[[str], Awaitable[list[Any]]]


class Accounts(People):
    """`reset_seconds`, `confirmation_seconds`: how long mailed links live.

    `others`: what other services know of a user, by name, for the export.
    """

    def __init__(
        self,
        engine: sa.Engine,
        passwords: Passwords,
        *,
        reset_seconds: int = 3600,
        confirmation_seconds: int = CONFIRMATION_SECONDS,
        limits: RateLimits | None = None,
        others: Mapping[str, Listing] | None = None,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        super().__init__(engine, now=now)
        self._sessions = SessionsStore(engine)
        self._passwords = passwords
        self._reset_ms = reset_seconds * 1000
        self._confirmation_ms = confirmation_seconds * 1000
        self._limits = limits or InProcessLimits()
        self._others = dict(others or {})
        self.addresses = AddressBook(engine, now=now)
        self.activity = Activity(engine)

    # Registering

    async def register(self, wanted: Registration, command_id: str | None = None) -> UserBody:
        """Makes an account and has a link mailed that confirms its address. A repetition with the same command id and
        password finds it made.

        Raises Problem `weak_password` or `email_taken`, Overloaded.
        """
        return user_body(await self._register(wanted, (), command_id))

    async def create_staff(self, email: str, password: str, name: str, roles: Iterable[str] = ("staff",)) -> UserBody:
        """For the command line. Raises ValueError for unknown roles, Problem like `register`."""
        if unknown := set(roles) - STAFF_ROLES:
            raise ValueError(f"unknown roles {sorted(unknown)}; there are {sorted(STAFF_ROLES)}")
        wanted = Registration(email=email, password=password, name=name)
        return user_body(await self._register(wanted, tuple(sorted(set(roles))), None))

    async def grant(self, email: str, roles: Iterable[str]) -> UserBody:
        """Sets the roles of an account; they count from its next access token. Raises Problem `not_found`."""
        user = await asyncio.to_thread(self._store.by_email, folded(email))
        now = self._now()
        changed = await asyncio.to_thread(self._store.grant, user.id, tuple(roles), now) if user is not None else None
        if changed is None:
            raise Problem("not_found", "There is no such account.")
        return user_body(changed)

    async def _register(self, wanted: Registration, roles: tuple[str, ...], command_id: str | None) -> User:
        email = folded(wanted.email)
        check_strength(wanted.password, email, wanted.name)
        # Before anything is looked up: an address that is taken costs as much as one that is free.
        hashed = await self._passwords.hash(wanted.password)
        now = self._now()
        user = User(
            id=str(uuid_utils.uuid7()),
            email=email,
            name=wanted.name,
            password=hashed,
            roles=roles,
            created_at=now,
            version=1,
            registered_by=command_id,
            language=wanted.language,
        )
        link = new_link(user.id, "confirm_email", email, now, self._confirmation_ms)
        try:
            await asyncio.to_thread(lambda: self._store.add(user, link=link))
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

    # The profile

    async def profile(self, user_id: str) -> ProfileBody:
        """Also for other services that need a person's name or address now. Raises Problem `not_found`."""
        user = await self._found(user_id)
        ordered = await self.activity.ordered(user_id)
        return ProfileBody(**user_body(user).model_dump(), order_count=ordered.orders, last_order=ordered.last)

    async def change_profile(self, principal: Principal, change: ProfileChange) -> ProfileBody:
        """Raises Problem `wrong_credentials`, `rate_limited`, `weak_password` or `not_found`, Overloaded."""
        user = await self._found(principal.id)
        now = self._now()
        if change.password is not None:
            await self._check_password(user, change.current_password or "", "current_password is wrong.")
            check_strength(change.password, user.email, change.name or user.name)
            hashed = await self._passwords.hash(change.password)
            changed = await asyncio.to_thread(
                self._store.change_password, user.id, user.password, hashed, principal.session, now
            )
            if not changed:
                raise Problem("wrong_credentials", "current_password is wrong.", status=403)
        given = change.model_dump(include={"name", "phone", "language"}, exclude_unset=True)
        values = {name: value for name, value in given.items() if value is not None or name == "phone"}
        if await asyncio.to_thread(self._store.change, user.id, values, now) is None:
            raise _no_account()
        return await self.profile(user.id)

    async def export(self, principal: Principal) -> ExportBody:
        """Everything that is known of the caller. Raises Problem `not_found`."""
        profile = await self.profile(principal.id)
        sessions = await asyncio.to_thread(self._sessions.of_user, principal.id, self._now())
        others = {name: await listing(principal.id) for name, listing in self._others.items()}
        return ExportBody(
            profile=profile,
            addresses=await self.addresses.all_of(principal.id),
            sessions=[_exported(session) for session in sessions],
            activity=await self.activity.page(principal.id, None, EXPORTED),
            others=others,
        )

    async def delete(self, principal: Principal, password: str | None) -> None:
        """Deletes the account, ends its sessions and has everyone forget the person.

        Raises Problem `wrong_credentials`, `rate_limited`, `password_needed` or `not_found`, Overloaded.
        """
        user = await self._found(principal.id)
        await self._prove(principal, user, password)
        if not await asyncio.to_thread(self._store.erase, user.id, self._now()):
            raise _no_account()

    # The address

    async def ask_for_confirmation(self, principal: Principal) -> None:
        """Has another link mailed, but not two a minute. Raises Problem `already_confirmed` or `not_found`."""
        user = await self._found(principal.id)
        if user.confirmed_at is not None:
            raise Problem("already_confirmed", "There is nothing to confirm.")
        await self._request(user.id, "confirm_email", user.email, self._confirmation_ms)

    async def change_email(self, principal: Principal, email: str, password: str | None) -> None:
        """Has a link mailed to the new address, but not two a minute; opening it changes the address.

        Raises Problem `wrong_credentials`, `rate_limited`, `password_needed`, `email_taken` or `not_found`, Overloaded.
        """
        user = await self._found(principal.id)
        await self._prove(principal, user, password)
        wanted = folded(email)
        if wanted == user.email:
            return
        if await asyncio.to_thread(self._store.by_email, wanted) is not None:
            raise Problem("email_taken", "Use another address.")
        try:
            await self._request(user.id, "change_email", wanted, self._confirmation_ms)
        except MailedLately as lately:
            seconds = str(math.ceil(lately.wait / 1000))
            detail = f"A link went to another address a moment ago; the next can in {seconds} s."
            raise Problem("rate_limited", detail, headers={"Retry-After": seconds}) from None

    async def confirm_email(
        self,
        token: str,
        command_id: str | None = None,
        *,
        password: str | None = None,
        principal: Principal = ANONYMOUS,
    ) -> None:
        """Opens a mailed link, for who has the account as well: by its password, or as `principal`.

        Whoever made the account need not be who reads the mailbox. The link alone shows that the mailbox is somebody's;
        what is the mailbox's would be given to a stranger by it.

        Raises Problem `link_unusable`, `password_needed`, `wrong_credentials`, `rate_limited`, or `email_taken`: by an
        account made since; Overloaded.
        """
        link = await self._opened(token, ("confirm_email", "change_email"))
        repeats = _repeats(link, command_id)
        user = await asyncio.to_thread(self._store.by_id, link.user_id or "")
        if user is None or not (repeats or self._is_open(link)):
            _unusable()
        if password is not None:
            await self._check_password(user, password, "The password is wrong.")
        elif principal.kind != "user" or principal.id != user.id:
            raise Problem("password_needed", "Give the account's password, or log in to it first.")
        if repeats:
            return
        try:
            await asyncio.to_thread(self._store.confirm, link, command_id, self._now())
        except LinkUsed:
            _unusable()
        except EmailTaken:
            raise Problem("email_taken", "Another account has this address by now.") from None

    async def has_password(self, token: str) -> bool:
        """Whether the account of a mailed link can be logged in to with one."""
        link = await asyncio.to_thread(self._links.of_token, token)
        user = None if link is None else await asyncio.to_thread(self._store.by_id, link.user_id or "")
        return user is not None and user.password != ""

    # Resetting the password

    async def ask_for_reset(self, email: str) -> None:
        """Has a link mailed if there is such an account, but not two a minute. Whether there is takes the same work."""
        wanted = folded(email)
        user = await asyncio.to_thread(self._store.by_email, wanted)
        await self._request(None if user is None else user.id, "reset_password", wanted, self._reset_ms)

    async def reset(self, token: str, password: str, command_id: str | None = None) -> None:
        """Sets a new password by a mailed link, and ends all sessions.

        A repetition with the same command id must bring the same password. Raises Problem `link_unusable`,
        `weak_password` or `rate_limited`, Overloaded; KeyReused: it brought another one.
        """
        link = await self._opened(token, ("reset_password",))
        user = await asyncio.to_thread(self._store.by_id, link.user_id or "")
        if user is not None and _repeats(link, command_id):
            await self._check_repetition(user, password)
            return
        if user is None or not self._is_open(link):
            _unusable()
        check_strength(password, user.email, user.name)
        hashed = await self._passwords.hash(password)
        try:
            await asyncio.to_thread(self._store.reset, link, hashed, command_id, self._now())
        except LinkUsed:
            _unusable()

    async def activity_of(self, user_id: str, before: tuple[int, str] | None, limit: int) -> list[ActivityItem]:
        """Newest first."""
        return await self.activity.page(user_id, before, limit)

    # Within

    async def _request(self, user_id: str | None, purpose: Purpose, email: str, milliseconds: int) -> None:
        link = new_link(user_id, purpose, email, self._now(), milliseconds)
        await asyncio.to_thread(self._store.request, user_id, link)

    async def _opened(self, token: str, purposes: tuple[Purpose, ...]) -> LinkRow:
        link = await asyncio.to_thread(self._links.of_token, token)
        if link is None or link.purpose not in purposes:
            _unusable()
        return link

    def _is_open(self, link: LinkRow) -> bool:
        return link.used_at is None and link.expires_at > self._now()

    async def _check_repetition(self, user: User, password: str) -> None:
        # Nothing that is quick to compute may be kept of a password, so it is compared with what was made of it.
        await self._take(user.id)
        if not await self._passwords.verify(password, user.password or None):
            raise KeyReused

    async def _prove(self, principal: Principal, user: User, password: str | None) -> None:
        """The caller gave the password, or logged in a moment ago."""
        if password is not None:
            await self._check_password(user, password, "The password is wrong.")
            return
        await self._take(user.id)
        session = await asyncio.to_thread(self._sessions.session, principal.session)
        if session is None or self._now() - session.created_at > RECENT:
            raise Problem("password_needed", "Give the password, or log in again.")

    async def _check_password(self, user: User, password: str, detail: str) -> None:
        await self._take(user.id)
        if not await self._passwords.verify(password, user.password or None):
            raise Problem("wrong_credentials", detail, status=403)

    async def _take(self, user_id: str) -> None:
        # A stolen access token must be good neither for guessing nor for having mails sent to everybody.
        verdict = await self._limits.take(f"password:{user_id}", _PASSWORDS)
        if not verdict.allowed:
            raise verdict.problem()

    async def _found(self, user_id: str) -> User:
        user = await asyncio.to_thread(self._store.by_id, user_id)
        if user is None:
            raise _no_account()
        return user


def user_body(user: User) -> UserBody:
    return UserBody(
        id=user.id,
        email=user.email,
        name=user.name,
        roles=list(user.roles),
        created_at=user.created_at,
        email_confirmed=user.confirmed_at is not None,
        phone=user.phone,
        language=user.language,
    )


def _repeats(link: LinkRow, command_id: str | None) -> bool:
    return link.used_at is not None and command_id is not None and link.used_by == command_id


def _exported(session: Session) -> dict[str, Any]:
    names = ("id", "created_at", "exchanged_at", "expires_at", "device", "address")
    return {name: getattr(session, name) for name in names}


def _unusable() -> NoReturn:
    raise Problem("link_unusable", "Ask for a new one.")


def _no_account() -> Problem:
    return Problem("not_found", "There is no such account.")
