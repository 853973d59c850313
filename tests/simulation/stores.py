"""The databases of services that are tables, in memory, with the rules of the real ones: an act is one transaction.

A call takes time, may fail without having been carried out, and may have been carried out although its answer is lost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipelines.keep_transactions import Event, Session, Transaction, followed
from pipelines.log.base import Happened
from tests.simulation.world import World

T = TypeVar("T")


class Calls:
    """The way to a database. `fails`: chance of a single call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.stream("stores")
        self.fails = 0.0

    async def make(self, act: Callable[[], T]) -> T:
        """Raises ConnectionError: whether it was done is unknown."""
        chance = self._chance
        if self.fails and chance.random() < self.fails:
            done = chance.random() < 0.5
            await self._world.sleep(chance.choice((0.0, 0.05, 1.0)) * chance.random())
            if done:
                act()
            raise ConnectionError("simulated")
        if chance.random() < 0.5:
            await self._world.sleep(chance.uniform(0.0005, 0.04))
        return act()


@dataclass
class Contact:
    """Whom an order goes to. `email` is None once it was erased; `given`: what it was, for those who check."""

    id: str
    order_id: str
    owner: str
    email: str | None
    given: str


class Contacts:
    """The orders' contacts, as `serve.orders.store` keeps them."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.rows: dict[str, Contact] = {}

    async def keep(self, contact: Contact) -> None:
        await self._calls.make(lambda: self.rows.update({contact.id: contact}))

    async def drop(self, contact_id: str) -> None:
        await self._calls.make(lambda: self.rows.pop(contact_id, None))

    async def email(self, contact_id: str) -> str | None:
        return await self._calls.make(lambda: self.rows[contact_id].email if contact_id in self.rows else None)

    async def guest_contacts(self, email: str) -> Sequence["GuestContact"]:
        return await self._calls.make(
            lambda: [
                GuestContact(row.id, row.order_id)
                for row in self.rows.values()
                if row.email == email and row.owner.startswith("guest:")
            ]
        )

    async def guest_email(self, contact_id: str) -> str | None:
        row = await self._calls.make(lambda: self.rows.get(contact_id))
        return row.email if row is not None and row.owner.startswith("guest:") else None

    async def give_contact(self, contact_id: str, owner: str) -> None:
        await self._calls.make(lambda: self._give(contact_id, owner))

    async def erase_owner(self, owner: str) -> list[str]:
        return await self._calls.make(lambda: self._erase(owner))

    def _give(self, contact_id: str, owner: str) -> None:
        if contact_id in self.rows:
            self.rows[contact_id].owner = owner

    def _erase(self, owner: str) -> list[str]:
        mine = [row for row in self.rows.values() if row.owner == owner]
        for row in mine:
            row.email = None
        return [row.order_id for row in mine]


@dataclass(frozen=True)
class GuestContact:
    id: str
    order_id: str


class Transactions:
    """Implements KeepsTransactions, as `serve.payments.transactions` does."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.sessions: dict[str, Session] = {}
        self.rows: list[Transaction] = []

    async def keep(self, happened: Happened, event: Event) -> None:
        await self._calls.make(lambda: self.add(happened, event))

    def add(self, happened: Happened, event: Event) -> None:
        session = self.sessions.get(happened.entity, Session())
        if (happened.version, happened.index) <= (session.version, session.number):
            return
        self.sessions[happened.entity], row = followed(session, happened, event)
        if row is not None:
            self.rows.append(row)
