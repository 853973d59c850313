"""Orders that somebody placed as a guest join the account whose confirmed address they gave."""

from collections.abc import Sequence
from typing import Protocol

from actors import order
from actors.runtime.ports import Entities
from pipelines.events import users
from pipelines.flow import Flow
from pipelines.log.base import Happened

NAME = "join_guest_orders"
USER = "user:"
GUEST = "guest:"


class KnowsAddresses(Protocol):
    async def confirmed_email(self, user_id: str) -> str | None:
        """None: it is not confirmed, or there is no such account (any more)."""
        ...

    async def confirmed_by_email(self, email: str) -> str | None:
        """The id of the account whose confirmed address this is."""
        ...


class GuestOrder(Protocol):
    @property
    def order_id(self) -> str: ...


class KnowsContacts(Protocol):
    async def guest_contacts(self, email: str) -> Sequence[GuestOrder]: ...

    async def guest_email(self, contact_id: str) -> str | None: ...

    async def give_contact(self, contact_id: str, owner: str) -> None: ...


class Forgets(Protocol):
    async def all_of(self, user_id: str) -> None:
        """Erases what is kept of a deleted account's owner. Raises ConnectionError or TimeoutError: ask again."""
        ...


class Joining:
    """Addresses are asked for at the moment of use, and kept nowhere."""

    def __init__(
        self, entities: Entities, accounts: KnowsAddresses, contacts: KnowsContacts, forgetting: Forgets
    ) -> None:
        self._entities = entities
        self._accounts = accounts
        self._contacts = contacts
        self._forgetting = forgetting

    async def all_of(self, user_id: str) -> None:
        """Every guest's order with the confirmed address of the account."""
        email = await self._accounts.confirmed_email(user_id)
        if email is None:
            return
        for found in await self._contacts.guest_contacts(email):
            await self._adopt(found.order_id, user_id)

    async def one(self, order_id: str, contact_id: str) -> None:
        """One guest's order, if its address is an account's."""
        email = await self._contacts.guest_email(contact_id)
        user_id = None if email is None else await self._accounts.confirmed_by_email(email)
        if user_id is not None:
            await self._adopt(order_id, user_id)

    async def adopted(self, contact_id: str, owner: str) -> None:
        """What follows once an order is an account's: its contact is, too.

        It follows from the order's own event: whoever asked the order may not have come so far, and may find the
        account deleted when he tries again.
        """
        await self._contacts.give_contact(contact_id, owner)
        user_id = owner.removeprefix(USER)
        if await self._accounts.confirmed_email(user_id) is None:
            # Deleted meanwhile: what was to be erased may have been before this contact was the account's.
            await self._forgetting.all_of(user_id)

    async def _adopt(self, order_id: str, user_id: str) -> None:
        # By itself the command is idempotent: an order is adopted once. It refuses if it is not placed (yet), and is
        # looked at again when it is confirmed; or if it is another's by now.
        await self._entities.ask("order", order_id, order.Adopt(f"{USER}{user_id}"))


def join_guest_orders(joining: Joining) -> Flow:
    """A confirmed address -> Adopt, for each order that a guest placed with it."""

    async def handle(happened: Happened, event: users.EmailConfirmed | users.UserRegistered) -> None:
        if isinstance(event, users.EmailConfirmed) or event.confirmed:
            await joining.all_of(happened.entity)

    return Flow(NAME, {users.KIND: (users.EmailConfirmed, users.UserRegistered)}, handle)
