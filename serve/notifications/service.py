"""Sends each mail once: the intent and the outcome are recorded, and only what may have been lost is sent again.

A second sending has the same Message-ID, so that the reader's mail program can tell.
"""

import asyncio
import math
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

import msgspec

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.send_mails import Mail
from serve.notifications.mailer import Mailer, MailNotSent, MailRejected
from serve.notifications.mails import Sender, compose
from serve.notifications.store import NewMail, Notification, NotificationStore

SEND_SECONDS = 15.0
TAKE_OVER_SECONDS = 60.0
"""How long an intent is its sender's: well beyond the server's timeout, so that no answer can still come."""
BUNCH_SECONDS = 0.2
"""Mails that have to wait for their turn go together this often: together they cost fewer commits than one by one.

Whoever sends at the full rate must have as many mails at work at once as make a bunch."""


class Contact(msgspec.Struct, frozen=True):
    """Whom a mail goes to. `address`: its lines, as on an envelope. It is never kept."""

    email: str
    name: str
    address: tuple[str, ...] = ()


class Contacts(Protocol):
    async def contact(self, contact_id: str) -> Contact | None:
        """None once it was erased, or if there is no email address."""
        ...


class BeingSent(TimeoutError):
    """Somebody else is sending the mail, or did and its outcome is unknown: ask again later."""


class Notifications:
    """Implements the port `Mails` of the flow send_mails.

    `per_second`: the most mails a second, so that a burst of orders leaves the machine to the shoppers.
    """

    def __init__(
        self,
        store: NotificationStore,
        mailer: Mailer,
        contacts: Contacts,
        sender: Sender,
        *,
        clock: Clock | None = None,
        per_second: float = 50.0,
        new_owner: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._mailer = mailer
        self._contacts = contacts
        self._sender = sender
        self._clock = clock or SystemClock()
        self._interval = 1.0 / per_second
        self._next_at = 0.0
        self._owner = new_owner()

    async def send(self, mail: Mail) -> None:
        """Once for each event and template.

        Raises BeingSent or MailNotSent: ask again. Any other error of the mailer: whether it was sent is unknown, and
        asking again sends it only once the intent has ended.
        """
        message_id = self.message_id(mail)
        now = self._clock.wall()
        row = NewMail(message_id, mail.event_id, mail.template, mail.order.id, mail.order.owner)
        begun = await self._store.begin(row, self._owner, now, now + round(TAKE_OVER_SECONDS * 1000))
        if begun == "ended":
            return
        if begun == "busy":
            raise BeingSent(f"{mail.template} of {mail.event_id}")
        await self._send(mail, message_id)

    async def page(self, owner: str, before: tuple[int, str] | None = None, limit: int = 20) -> list[Notification]:
        """What was mailed about an owner's orders, newest first."""
        return await self._store.page(owner, before, limit)

    async def close(self) -> None:
        """Waits for what is being recorded. Nothing can be sent after it."""
        await self._store.close()

    def message_id(self, mail: Mail) -> str:
        """The same for the same event and template, for ever."""
        digest = blake2b(f"{mail.event_id}\0{mail.template}".encode(), digest_size=16).hexdigest()
        return f"<{digest}@{self._sender.domain}>"

    async def _send(self, mail: Mail, message_id: str) -> None:
        try:
            contact = await self._contacts.contact(mail.order.contact_id)
            if contact is None:
                await self._store.end(message_id, self._owner, "no_contact", self._clock.wall())
                return
            await self._pace()
            now, sender = self._clock.wall(), self._sender
            message = compose(mail, contact.email, contact.name, contact.address, message_id, sender, now)
        except ValueError:
            # No such address can be written to, however often it is tried.
            await self._store.end(message_id, self._owner, "rejected", self._clock.wall())
            return
        except BaseException:
            # The server has not seen it, whatever went wrong.
            await self._store.give_up(message_id, self._owner)
            raise
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._mailer.send(message)
        except MailRejected:
            await self._store.end(message_id, self._owner, "rejected", self._clock.wall())
            return
        except MailNotSent:
            await self._store.give_up(message_id, self._owner)
            raise
        await self._store.end(message_id, self._owner, "sent", self._clock.wall())

    async def _pace(self) -> None:
        now = self._clock.monotonic()
        at = max(self._next_at, now)
        self._next_at = at + self._interval
        if at > now:
            await self._clock.sleep(math.ceil(at / BUNCH_SECONDS) * BUNCH_SECONDS - now)
