"""Asks the orders and the users whom a mail goes to, at the moment of use; nothing of it is kept here."""

from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import quote

from pipelines.notify_users import MailLink, Person, UserMail
from pipelines.send_mails import Mail
from serve.notifications.kinds import Message
from serve.notifications.mails import Addressee
from serve.notifications.sendings import Outcome
from serve.notifications.text_channel import Reached
from serve.orders.store import Kept

USER = "user:"

Persons = Callable[[str], Awaitable[Person | None]]
Links = Callable[[str], Awaitable[MailLink | None]]
"""See `pipelines.notify_users.People`."""
AccessTokens = Callable[[str], Awaitable[str | None]]
"""By a contact's id: what lets a guest see the order without a session. None: there is none, or it was revoked."""


class KeepsContacts(Protocol):
    async def contact(self, contact_id: str) -> Kept | None: ...


class Directory:
    """Implements `Addressees` and `Phones`. `shop_url`: the shop's own address, for links."""

    def __init__(
        self,
        orders: KeepsContacts,
        person: Persons,
        shop_url: str,
        *,
        link: Links | None = None,
        access_token: AccessTokens | None = None,
    ) -> None:
        self._orders = orders
        self._person = person
        self._shop_url = shop_url.rstrip("/")
        self._link = link
        self._access_token = access_token

    async def of(self, message: Message) -> Addressee | Outcome:
        if isinstance(message, Mail):
            return await self._of_order(message)
        return await (self._of_request(message) if message.request else self._of_user(message))

    async def phone(self, message: Message) -> Reached | Outcome:
        """An account's own number; of an order made without one, the number of its address."""
        if not isinstance(message, Mail):
            return "no_contact"
        kept = await self._orders.contact(message.order.contact_id)
        if kept is None or kept.contact is None:
            return "no_contact"
        phone, language = kept.contact.address.phone, kept.contact.language
        if kept.owner.startswith(USER):
            person = await self._person(kept.owner.removeprefix(USER))
            phone, language = (None, None) if person is None else (person.phone, language or person.language)
        return Reached(phone, language) if phone else "no_contact"

    async def _of_order(self, mail: Mail) -> Addressee | Outcome:
        kept = await self._orders.contact(mail.order.contact_id)
        if kept is None or kept.contact is None:
            return "no_contact"
        email, language = kept.contact.email, kept.contact.language
        if kept.owner.startswith(USER) and (email is None or language is None):
            person = await self._person(kept.owner.removeprefix(USER))
            if person is not None:
                email, language = email or person.address, language or person.language
        if email is None:
            return "no_contact"
        address = kept.contact.address
        city = f"{address.postal_code} {address.city}"
        lines = (address.name, address.line1, address.line2, city, address.country)
        url = await self._order_url(mail, kept)
        return Addressee(email, address.name, language, tuple(line for line in lines if line), url)

    async def _order_url(self, mail: Mail, kept: Kept) -> str:
        url = f"{self._shop_url}/api/orders/{quote(mail.order.id)}"
        if self._access_token is None or kept.owner.startswith(USER):
            return url
        token = await self._access_token(kept.id)
        return url if token is None else f"{url}?access={quote(token, safe='')}"

    async def _of_request(self, mail: UserMail) -> Addressee | Outcome:
        if self._link is None:
            raise LookupError("nobody is there to ask for the link of a request")
        link = await self._link(mail.request)
        if link is None:
            return "lapsed"
        return Addressee(link.to, link.name, link.language, url=link.url, expires_at=link.expires_at)

    async def _of_user(self, mail: UserMail) -> Addressee | Outcome:
        person = await self._person(mail.user_id)
        return "no_contact" if person is None else Addressee(person.address, person.name, person.language)
