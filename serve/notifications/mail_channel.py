"""Sends each mail once, as `serve.notifications.recorded` does, and none to an address that is off.

A second sending has the same Message-ID, so that the reader's mail program can tell, if the server leaves it as it is.
"""

import secrets
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from serve.notifications.kinds import RULES, Message
from serve.notifications.mailer import Mailer, Outgoing, row_of
from serve.notifications.mails import Addressee, Sender, compose
from serve.notifications.mime import checked_address
from serve.notifications.pace import Pace
from serve.notifications.recorded import RecordedChannel, digest_of
from serve.notifications.sendings import Outcome
from serve.notifications.store import NotificationStore

PER_SECOND = 50.0

ENDED = Counter("troupe_mails_total", "Mails that have their outcome.", ["kind", "outcome"])
AGAIN = Counter("troupe_mails_sent_again_total", "Mails sent again, since the server's answer to the first was lost.")


class Addressees(Protocol):
    async def of(self, message: Message) -> Addressee | Outcome:
        """Whom it goes to, asked at the moment of use. An outcome: nobody, and why."""
        ...


class MailChannel(RecordedChannel[Outgoing]):
    """`per_second`: the most mails a second, so that a burst of orders leaves the machine to the shoppers."""

    def __init__(
        self,
        store: NotificationStore,
        mailer: Mailer,
        addressees: Addressees,
        sender: Sender,
        *,
        clock: Clock | None = None,
        per_second: float = PER_SECOND,
        new_owner: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        clock = clock or SystemClock()
        self.pace = Pace("mail", per_second, clock)
        super().__init__(store.mails, self.pace, ENDED, AGAIN, clock=clock, new_owner=new_owner)
        self._suppressed = store.suppressed
        self._mailer = mailer
        self._addressees = addressees
        self._sender = sender

    def message_id(self, message: Message) -> str:
        return row_id(message.event_id, message.template)

    def _is_optional(self, message: Message) -> bool:
        return not RULES[message.template].required

    async def _made(self, message: Message, message_id: str) -> Outgoing | Outcome:
        addressee = await self._addressees.of(message)
        if isinstance(addressee, str):
            return addressee
        try:
            addressee = addressee._replace(email=checked_address(addressee.email))
        except ValueError:
            return "rejected"  # no such address can be written to, however often it is tried
        if await self._suppressed.has(addressee.email):
            return "suppressed"
        header = f"<{digest_of(message.event_id, message.template)}@{self._sender.domain}>"
        return compose(message, addressee, header, self._sender, self._clock.wall())

    async def _hand_over(self, made: Outgoing) -> None:
        await self._mailer.send(made)


def row_id(event_id: str, template: str) -> str:
    """What a mail's row is found by: the same for the same event and template, for ever, whoever the sender is now."""
    return row_of(digest_of(event_id, template))
