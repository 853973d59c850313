"""A channel that hands each message over once: the intent and the outcome are recorded, and only what may have been
lost goes out again. A third sending is for somebody to decide: the event becomes a dead letter.
"""

import asyncio
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from hashlib import blake2b
from typing import Generic, TypeVar

from prometheus_client import Counter

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.flow import GivenUp
from serve.notifications.kinds import Message
from serve.notifications.mailer import MailNotSent, MailRejected
from serve.notifications.pace import Pace
from serve.notifications.sendings import Begun, NewMail, Outcome, Sendings

T = TypeVar("T", bound=tuple[object, ...])

SEND_SECONDS = 25.0
"""Of one handing over; what adapters allow themselves is less, so that they say what is certain."""
TAKE_OVER_SECONDS = 60.0
"""How long an intent is its sender's: well beyond the server's timeout, so that no answer can still come."""
TRY_FOR_MS = 24 * 3_600_000
"""What the server has not taken for so long is somebody's to look at."""
_ADDRESS = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+|\+\d{7,15}")


class BeingSent(TimeoutError):
    """Somebody else is sending it, or did and its outcome is unknown: ask again later."""


class AnswerLost(TimeoutError):
    """Whether the server took it is unknown: ask again later."""


class Unrecorded(ConnectionError):
    """It has its outcome, which could not be recorded: ask again. It is not sent again for that."""


class RecordedChannel(ABC, Generic[T]):
    """Implements `Channel`. T: a message as it is handed over.

    `ended` has the labels kind and outcome; `again` counts what was sent again.
    """

    def __init__(
        self,
        sendings: Sendings,
        pace: Pace,
        ended: Counter,
        again: Counter,
        *,
        clock: Clock | None = None,
        new_owner: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._sendings = sendings
        self._pace = pace
        self._ended = ended
        self._again = again
        self._clock = clock or SystemClock()
        self._owner = new_owner()
        self._unrecorded: dict[str, Outcome] = {}

    @abstractmethod
    def message_id(self, message: Message) -> str:
        """The same for the same event and template, for ever."""

    @abstractmethod
    def _is_optional(self, message: Message) -> bool:
        """Whether what its owner prefers is asked for."""

    @abstractmethod
    async def _made(self, message: Message, message_id: str) -> T | Outcome:
        """As it is handed over. An outcome: it is not, and why."""

    @abstractmethod
    async def _hand_over(self, made: T) -> None:
        """Raises as `Mailer.send`."""

    async def deliver(self, message: Message) -> None:
        """Once for each event and template.

        Raises BeingSent, AnswerLost, Unrecorded or MailNotSent: ask again; after AnswerLost that sends it only once the
        intent has ended. Raises GivenUp if two answers were lost, or the server has not taken it for a day.
        """
        message_id = self.message_id(message)
        if (outcome := self._unrecorded.get(message_id)) is not None:
            await self._end(message, message_id, outcome)
            return
        self._pace.check()
        begun = await self._begin(message, message_id)
        if begun.state == "ended":
            return
        if begun.state == "busy":
            raise BeingSent(f"{message.template} of {message.event_id}")
        if begun.state == "unanswered":
            raise GivenUp(f"the {message.template} was sent twice and the server's answer was lost both times")
        try:
            await self._send(message, message_id, again=begun.state == "again")
        except MailNotSent as error:
            if self._clock.wall() - begun.created_at >= TRY_FOR_MS:
                raise GivenUp(f"the server did not take the {message.template}: {error}") from None
            raise

    async def give_up(self, message: Message) -> None:
        """Whoever is next may send it, if nobody is sending it now."""
        message_id = self.message_id(message)
        self._unrecorded.pop(message_id, None)
        await self._sendings.free(message_id, self._clock.wall())

    async def _begin(self, message: Message, message_id: str) -> Begun:
        now = self._clock.wall()
        row = NewMail(message_id, message.event_id, message.template, message.order_id, message.owner)
        ends_at = now + round(TAKE_OVER_SECONDS * 1000)
        return await self._sendings.begin(row, self._owner, now, ends_at, optional=self._is_optional(message))

    async def _send(self, message: Message, message_id: str, *, again: bool) -> None:
        try:
            made = await self._made(message, message_id)
            if isinstance(made, tuple):
                await self._pace.turn()
        except BaseException:
            # The server has not seen it, whatever went wrong.
            await self._sendings.not_sent(message_id, self._owner)
            raise
        outcome = await self._handed_over(made, message_id, again) if isinstance(made, tuple) else made
        await self._end(message, message_id, outcome)

    async def _handed_over(self, made: T, message_id: str, again: bool) -> Outcome:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._hand_over(made)
        except MailRejected:
            self._pace.answered()
            return "rejected"
        except MailNotSent as error:
            self._pace.answered(error)
            await self._sendings.not_sent(message_id, self._owner)
            raise MailNotSent(_without_addresses(error)) from None
        except Exception as error:
            self._pace.lost()
            self._again.inc(again)
            raise AnswerLost(_without_addresses(error)) from None
        self._pace.answered()
        self._again.inc(again)
        return "sent"

    async def _end(self, message: Message, message_id: str, outcome: Outcome) -> None:
        # Known here before it stands there: while the database is away, nothing that was sent is sent again.
        self._unrecorded[message_id] = outcome
        try:
            await self._sendings.end(message_id, self._owner, outcome, self._clock.wall())
        except Exception as error:
            raise Unrecorded(f"{message.template} of {message.event_id}: {type(error).__name__}") from error
        del self._unrecorded[message_id]
        self._ended.labels(message.template, outcome).inc()


def digest_of(event_id: str, template: str) -> str:
    """The same for the same event and template, for ever: 32 hexadecimal digits."""
    return blake2b(f"{event_id}\0{template}".encode(), digest_size=16).hexdigest()


def _without_addresses(error: Exception) -> str:
    """Servers like to repeat whom they were asked to write to; errors are logged, and kept with dead letters."""
    return _ADDRESS.sub("[address]", f"{type(error).__name__}: {error}")
