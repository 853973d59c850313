"""Sends each mail once: the intent and the outcome are recorded, and only what may have been lost is sent again.

A second sending has the same Message-ID, so that the reader's mail program can tell. A third is for somebody to decide:
the event becomes a dead letter.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

from prometheus_client import Counter

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.flow import GivenUp
from serve.notifications.kinds import RULES, Message
from serve.notifications.mailer import Mailer, MailNotSent, MailRejected, Outgoing
from serve.notifications.mails import Addressee, Sender, compose
from serve.notifications.mime import checked_address
from serve.notifications.store import NewMail, NotificationStore, Outcome

SEND_SECONDS = 15.0
TAKE_OVER_SECONDS = 60.0
"""How long an intent is its sender's: well beyond the server's timeout, so that no answer can still come."""
TRY_FOR_MS = 24 * 3_600_000
"""A mail that the server has not taken for so long is somebody's to look at."""
BUNCH_SECONDS = 0.2
"""Mails that have to wait for their turn go together this often: together they cost fewer commits than one by one.

Whoever sends at the full rate must have as many mails at work at once as make a bunch."""
_ADDRESS = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")

ENDED = Counter("troupe_mails_total", "Mails that have their outcome.", ["kind", "outcome"])
AGAIN = Counter("troupe_mails_sent_again_total", "Mails sent again, since the server's answer to the first was lost.")


class Addressees(Protocol):
    async def of(self, message: Message) -> Addressee | Outcome:
        """Whom it goes to, asked at the moment of use. An outcome: nobody, and why."""
        ...


class BeingSent(TimeoutError):
    """Somebody else is sending the mail, or did and its outcome is unknown: ask again later."""


class AnswerLost(TimeoutError):
    """Whether the server took the mail is unknown: ask again later."""


class Unrecorded(ConnectionError):
    """The mail has its outcome, which could not be recorded: ask again. It is not sent again for that."""


class MailChannel:
    """Implements `Channel`.

    `per_second`: the most mails a second, so that a burst of orders leaves the machine to the shoppers.
    """

    def __init__(
        self,
        store: NotificationStore,
        mailer: Mailer,
        addressees: Addressees,
        sender: Sender,
        *,
        clock: Clock | None = None,
        per_second: float = 50.0,
        new_owner: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._mailer = mailer
        self._addressees = addressees
        self._sender = sender
        self._clock = clock or SystemClock()
        self._interval = 1.0 / per_second
        self._next_at = 0.0
        self._owner = new_owner()
        self._unrecorded: dict[str, Outcome] = {}

    async def deliver(self, message: Message) -> None:
        """Once for each event and template.

        Raises BeingSent, AnswerLost, Unrecorded or MailNotSent: ask again; after AnswerLost that sends it only once the
        intent has ended. Raises GivenUp if two answers were lost, or the server has not taken it for a day.
        """
        message_id = self.message_id(message)
        if (outcome := self._unrecorded.get(message_id)) is not None:
            await self._end(message, message_id, outcome)
            return
        now = self._clock.wall()
        row = NewMail(message_id, message.event_id, message.template, message.order_id, message.owner)
        ends_at = now + round(TAKE_OVER_SECONDS * 1000)
        optional = not RULES[message.template].required
        begun = await self._store.begin(row, self._owner, now, ends_at, optional=optional)
        if begun.state == "ended":
            return
        if begun.state == "busy":
            raise BeingSent(f"{message.template} of {message.event_id}")
        if begun.state == "unanswered":
            raise GivenUp(f"the {message.template} was sent twice and the mail server's answer was lost both times")
        try:
            await self._send(message, message_id, again=begun.state == "again")
        except MailNotSent as error:
            if self._clock.wall() - begun.created_at >= TRY_FOR_MS:
                raise GivenUp(f"the mail server did not take the {message.template}: {error}") from None
            raise

    async def give_up(self, message: Message) -> None:
        """Whoever is next may send it, if nobody is sending it now."""
        message_id = self.message_id(message)
        self._unrecorded.pop(message_id, None)
        await self._store.free(message_id, self._clock.wall())

    def message_id(self, message: Message) -> str:
        """The same for the same event and template, for ever."""
        return message_id(message.event_id, message.template, self._sender.domain)

    async def _send(self, message: Message, message_id: str, *, again: bool) -> None:
        made = await self._made(message, message_id)
        if isinstance(made, str):
            await self._end(message, message_id, made)
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._mailer.send(made)
        except MailRejected:
            await self._end(message, message_id, "rejected")
            return
        except MailNotSent as error:
            await self._store.not_sent(message_id, self._owner)
            raise MailNotSent(_without_addresses(error)) from None
        except Exception as error:
            AGAIN.inc(again)
            raise AnswerLost(_without_addresses(error)) from None
        AGAIN.inc(again)
        await self._end(message, message_id, "sent")

    async def _made(self, message: Message, message_id: str) -> Outgoing | Outcome:
        try:
            addressee = await self._addressees.of(message)
            if isinstance(addressee, str):
                return addressee
            try:
                addressee = addressee._replace(email=checked_address(addressee.email))
            except ValueError:
                return "rejected"  # no such address can be written to, however often it is tried
            await self._pace()
            return compose(message, addressee, message_id, self._sender, self._clock.wall())
        except BaseException:
            # The server has not seen it, whatever went wrong.
            await self._store.not_sent(message_id, self._owner)
            raise

    async def _end(self, message: Message, message_id: str, outcome: Outcome) -> None:
        # Known here before it stands there: while the database is away, nothing that was sent is sent again.
        self._unrecorded[message_id] = outcome
        try:
            await self._store.end(message_id, self._owner, outcome, self._clock.wall())
        except Exception as error:
            raise Unrecorded(f"{message.template} of {message.event_id}: {type(error).__name__}") from error
        del self._unrecorded[message_id]
        ENDED.labels(message.template, outcome).inc()

    async def _pace(self) -> None:
        now = self._clock.monotonic()
        at = max(self._next_at, now)
        self._next_at = at + self._interval
        if at > now:
            await self._clock.sleep(math.ceil(at / BUNCH_SECONDS) * BUNCH_SECONDS - now)


def message_id(event_id: str, template: str, domain: str) -> str:
    """The same for the same event and template, for ever."""
    digest = blake2b(f"{event_id}\0{template}".encode(), digest_size=16).hexdigest()
    return f"<{digest}@{domain}>"


def _without_addresses(error: Exception) -> str:
    """Servers like to repeat whom they were asked to write to; errors are logged, and kept with dead letters."""
    return _ADDRESS.sub("[address]", f"{type(error).__name__}: {error}")
