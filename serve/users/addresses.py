"""The address book: where a customer has things sent, and where bills go."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from actors.runtime.ports import KeyReused
from pipelines.events.users import UserProfileChanged
from pipelines.sql.retrying import transaction
from serve.gateway import clock
from serve.gateway.problems import Problem, declare
from serve.users.account_tables import addresses
from serve.users.schemas import AddressBody, AddressChange, NewAddress
from serve.users.tables import create
from serve.users.telling import lock, tell

MOST = 50
"""Addresses of one account."""
_DEFAULTS = ("default_shipping", "default_billing")

declare("too_many_addresses", 409, "The address book is full")


class AddressBook:
    """Addresses of others are `not_found`."""

    def __init__(self, engine: sa.Engine, *, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        self._now = now
        create(self._writing)

    async def all_of(self, user_id: str) -> list[AddressBody]:
        """In the order in which they were added."""
        return await asyncio.to_thread(self._list, user_id)

    async def add(
        self, user_id: str, address: NewAddress, command_id: str | None = None, fingerprint: bytes = b""
    ) -> AddressBody:
        """The first one is the default of both kinds. A repeated command id finds the address that it made.

        Raises Problem `too_many_addresses` or `not_found`; KeyReused: the id came with another fingerprint.
        """
        return await asyncio.to_thread(self._add, user_id, address, command_id, fingerprint)

    async def change(self, user_id: str, address_id: str, change: AddressChange) -> AddressBody:
        """Raises Problem `not_found`."""
        return await asyncio.to_thread(self._change, user_id, address_id, change)

    async def remove(self, user_id: str, address_id: str) -> None:
        """Raises Problem `not_found`."""
        await asyncio.to_thread(self._remove, user_id, address_id)

    def _list(self, user_id: str) -> list[AddressBody]:
        mine = sa.select(addresses).where(addresses.c.user_id == user_id)
        with self._engine.connect() as connection:
            return [_body(row) for row in connection.execute(mine.order_by(addresses.c.created_at, addresses.c.id))]

    @transaction(again=False)
    def _add(self, user_id: str, address: NewAddress, command_id: str | None, fingerprint: bytes) -> AddressBody:
        mine = addresses.c.user_id == user_id
        with self._writing.begin() as connection:
            lock(connection, user_id)
            if command_id is not None:
                made = connection.execute(sa.select(addresses).where(mine, addresses.c.made_by == command_id)).first()
                if made is not None and made.made_from != fingerprint:
                    raise KeyReused
                if made is not None:
                    return _body(made)
            count = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
            if count >= MOST:
                raise Problem("too_many_addresses", f"An address book has at most {MOST}.")
            values = address.model_dump()
            if count == 0:
                values.update(dict.fromkeys(_DEFAULTS, True))
            address_id = secrets.token_hex(16)
            self._tell(connection, user_id)  # at first: an access token may be of an account that is gone
            _make_room(connection, user_id, values)
            values.update(id=address_id, user_id=user_id, made_by=command_id, made_from=fingerprint)
            connection.execute(addresses.insert().values(created_at=self._now(), **values))
            return _body(connection.execute(sa.select(addresses).where(addresses.c.id == address_id)).one())

    @transaction(again=True)
    def _change(self, user_id: str, address_id: str, change: AddressChange) -> AddressBody:
        values = change.model_dump(exclude_unset=True)
        with self._writing.begin() as connection:
            lock(connection, user_id)
            _check(connection, user_id, address_id)
            if values:
                _make_room(connection, user_id, values)
                connection.execute(addresses.update().where(addresses.c.id == address_id).values(values))
            return self._told(connection, user_id, address_id)

    @transaction(again=False)
    def _remove(self, user_id: str, address_id: str) -> None:
        with self._writing.begin() as connection:
            lock(connection, user_id)
            _check(connection, user_id, address_id)
            connection.execute(addresses.delete().where(addresses.c.id == address_id))
            self._tell(connection, user_id)

    def _told(self, connection: sa.Connection, user_id: str, address_id: str) -> AddressBody:
        self._tell(connection, user_id)
        return _body(connection.execute(sa.select(addresses).where(addresses.c.id == address_id)).one())

    def _tell(self, connection: sa.Connection, user_id: str) -> None:
        now = self._now()
        try:
            tell(connection, user_id, UserProfileChanged(("addresses",), now), at=now)
        except LookupError:
            raise Problem("not_found", "There is no such account.") from None


def _check(connection: sa.Connection, user_id: str, address_id: str) -> None:
    this = sa.and_(addresses.c.id == address_id, addresses.c.user_id == user_id)
    if connection.execute(sa.select(addresses.c.id).where(this)).first() is None:
        raise Problem("not_found", "There is no such address.")


def _make_room(connection: sa.Connection, user_id: str, values: dict[str, Any]) -> None:
    """There is one default of each kind."""
    cleared = {name: False for name in _DEFAULTS if values.get(name)}
    if cleared:
        connection.execute(addresses.update().where(addresses.c.user_id == user_id).values(cleared))


def _body(row: sa.Row[Any]) -> AddressBody:
    return AddressBody(**{name: getattr(row, name) for name in AddressBody.model_fields})
