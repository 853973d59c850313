"""Sends text messages to who asked for them, each once as far as the network lets us: it knows no repetition."""

import re
import secrets
from collections.abc import Callable
from typing import NamedTuple, Protocol

from prometheus_client import Counter

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.send_mails import Mail
from serve.notifications import languages, texts
from serve.notifications.kinds import Message
from serve.notifications.languages import Language
from serve.notifications.pace import Pace
from serve.notifications.recorded import RecordedChannel, digest_of
from serve.notifications.sendings import Outcome
from serve.notifications.store import NotificationStore

PER_SECOND = 10.0
LONGEST = 300
"""Characters; what is longer costs as much as several messages and is cut."""

ENDED = Counter("troupe_texts_total", "Text messages that have their outcome.", ["kind", "outcome"])
AGAIN = Counter("troupe_texts_sent_again_total", "Texts sent again, since the answer to the first was lost.")
_WRITTEN_ONLY = re.compile(r"\(0\)|[ ()./\-]")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class Text(NamedTuple):
    """`to`: E.164, such as +447700900461."""

    to: str
    words: str


class Texter(Protocol):
    async def send(self, text: Text) -> None:
        """As `Mailer.send`. MailRejected: the number can get none, or its owner wants none."""


class Reached(NamedTuple):
    """Whom a text goes to. `phone`: as people write it."""

    phone: str
    language: str | None


class Phones(Protocol):
    async def phone(self, message: Message) -> Reached | Outcome:
        """Asked at the moment of use. An outcome: nobody, and why."""
        ...


class TextChannel(RecordedChannel[Text]):
    """`shop`: what it calls itself. `language`: for who asked for no other."""

    def __init__(
        self,
        store: NotificationStore,
        texter: Texter,
        phones: Phones,
        shop: str,
        language: Language = "en",
        *,
        clock: Clock | None = None,
        per_second: float = PER_SECOND,
        new_owner: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        clock = clock or SystemClock()
        super().__init__(store.texts, Pace("texts", per_second, clock), ENDED, AGAIN, clock=clock, new_owner=new_owner)
        self._texter = texter
        self._phones = phones
        self._shop = shop
        self._language = language

    def message_id(self, message: Message) -> str:
        return digest_of(message.event_id, message.template)

    def _is_optional(self, message: Message) -> bool:
        return True

    async def _made(self, message: Message, message_id: str) -> Text | Outcome:
        found = await self._phones.phone(message)
        if isinstance(found, str):
            return found
        number = international(found.phone)
        if number is None:
            return "rejected"
        language = languages.supported(found.language, self._language)
        currency = message.order.currency if isinstance(message, Mail) else ""
        title, text = texts.notice(message.template, message.order_id, message.facts, currency, language)
        return Text(number, f"{self._shop}: {title}. {text}"[:LONGEST])

    async def _hand_over(self, made: Text) -> None:
        await self._texter.send(made)


def international(phone: str) -> str | None:
    """E.164, of a number as people write it; None: it does not say its country, or is none."""
    digits = _WRITTEN_ONLY.sub("", phone)
    digits = f"+{digits[2:]}" if digits.startswith("00") else digits
    return digits if _E164.fullmatch(digits) else None
