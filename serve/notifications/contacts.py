"""Asks the orders for the contact of a mail, at the moment of use; nothing of it is kept here."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from serve.notifications.service import Contact
from serve.orders.store import Kept

USER = "user:"


class KeepsContacts(Protocol):
    async def contact(self, contact_id: str) -> Kept | None: ...


class OrderContacts:
    """Implements `Contacts`. `account_email`: a user's address by user id, for users who gave none with the order."""

    def __init__(self, orders: KeepsContacts, account_email: Callable[[str], Awaitable[str | None]]) -> None:
        self._orders = orders
        self._account_email = account_email

    async def contact(self, contact_id: str) -> Contact | None:
        kept = await self._orders.contact(contact_id)
        if kept is None or kept.contact is None:
            return None
        email = kept.contact.email
        if email is None and kept.owner.startswith(USER):
            email = await self._account_email(kept.owner.removeprefix(USER))
        if email is None:
            return None
        address = kept.contact.address
        city = f"{address.postal_code} {address.city}"
        lines = (address.name, address.line1, address.line2, city, address.country)
        return Contact(email, address.name, tuple(line for line in lines if line))
