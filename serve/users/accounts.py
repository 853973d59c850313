"""Accounts: who someone is."""

import asyncio
from collections.abc import Callable, Iterable

import sqlalchemy as sa
import uuid_utils

from serve.gateway import clock
from serve.gateway.passwords import Passwords, check_strength
from serve.gateway.principals import STAFF_ROLES, Principal
from serve.gateway.problems import Problem
from serve.users.accounts_store import AccountsStore
from serve.users.schemas import ProfileChange, Registration, UserBody
from serve.users.sessions_store import SessionsStore
from serve.users.tables import EmailTaken, User, folded


class Accounts:
    def __init__(self, engine: sa.Engine, passwords: Passwords, *, now: Callable[[], int] = clock.now_ms) -> None:
        self._store = AccountsStore(engine)
        self._sessions = SessionsStore(engine)
        self._passwords = passwords
        self._now = now

    async def register(self, wanted: Registration, command_id: str | None = None) -> UserBody:
        """Makes an account. A repetition with the same command id and password finds it made.

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
        changed = await asyncio.to_thread(self._store.grant, user.id, tuple(roles)) if user is not None else None
        if changed is None:
            raise Problem("not_found", "There is no such account.")
        return user_body(changed)

    async def _register(self, wanted: Registration, roles: tuple[str, ...], command_id: str | None) -> User:
        email = folded(wanted.email)
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

    async def profile(self, user_id: str) -> UserBody:
        """Also for other services that need a person's name or address now. Raises Problem `not_found`."""
        return user_body(await self._found(user_id))

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
            await asyncio.to_thread(self._sessions.end_sessions, user.id, "password", self._now(), principal.session)
        return user_body(changed)

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


def user_body(user: User) -> UserBody:
    return UserBody(id=user.id, email=user.email, name=user.name, roles=list(user.roles), created_at=user.created_at)
