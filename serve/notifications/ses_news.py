"""What SES tells of mails that it took: who bounced for good or complained is written to no more."""

import logging
import re
from collections.abc import Callable
from email.utils import parseaddr

import msgspec
from prometheus_client import Counter

from serve.gateway import clock
from serve.gateway.problems import Problem, declare
from serve.notifications.mailer import row_of
from serve.notifications.mime import checked_address
from serve.notifications.ses import TAG
from serve.notifications.sns import NotBelieved, NotReached, SnsMessage, SnsTopic
from serve.notifications.suppressed import Reason, Suppressions

BAD_SIGNATURE = declare("bad_signature", 400, "The webhook is not to be believed")
_DIGEST = re.compile(r"[0-9a-f]{32}")

NEWS = Counter("troupe_mail_news_total", "What SES told of mails that it had taken, and what came of it.", ["what"])
log = logging.getLogger("troupe.mails")


class _Recipient(msgspec.Struct, frozen=True, rename="camel"):
    email_address: str


class _Bounce(msgspec.Struct, frozen=True, rename="camel"):
    bounce_type: str
    bounced_recipients: list[_Recipient]


class _Complaint(msgspec.Struct, frozen=True, rename="camel"):
    complained_recipients: list[_Recipient]
    complaint_feedback_type: str | None = None


class _Mail(msgspec.Struct, frozen=True):
    tags: dict[str, list[str]] = {}


class _News(msgspec.Struct, frozen=True, rename="camel"):
    """As a configuration set tells it (`event_type`), or as an identity's feedback does (`notification_type`)."""

    event_type: str = ""
    notification_type: str = ""
    mail: _Mail = _Mail()
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None


class SesNews:
    """`topic`: None: nothing is believed."""

    def __init__(
        self, suppressions: Suppressions, topic: SnsTopic | None, now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._suppressions = suppressions
        self._topic = topic
        self._now = now

    async def take(self, message: SnsMessage) -> None:
        """Deals with a message once, however often it comes. Raises Problem `bad_signature` or `unavailable`."""
        topic, now = self._topic, self._now()
        if topic is None:
            raise Problem(BAD_SIGNATURE, "TROUPE_MAIL_TOPIC is not set here: nothing is believed.")
        try:
            await topic.believe(message, now)
            if message.type == "SubscriptionConfirmation":
                await topic.confirm(message)
        except NotBelieved as bad:
            raise Problem(BAD_SIGNATURE, f"The message was refused: {bad}.") from None
        except NotReached as error:
            raise Problem("unavailable", f"{error}.") from None
        if message.type != "Notification":
            log.warning("SNS tells of the subscription to %s: %s", message.topic_arn, message.type)
            return
        if not await self._suppressions.knows(message.message_id):
            await self._heed(message, now)

    async def _heed(self, message: SnsMessage, now: int) -> None:
        try:
            news = msgspec.json.decode(message.message, type=_News)
        except msgspec.MsgspecError:
            news = _News()  # a line of words that SES sends when the topic is set up
        what, reason, addresses = _told(news)
        if reason is not None:
            tag = next(iter(news.mail.tags.get(TAG, ())), "")
            mail = row_of(tag) if _DIGEST.fullmatch(tag) else ""
            if not await self._suppressions.add(message.message_id, addresses, reason, mail, now):
                return
            log.info("%s of the mail %s: %d addresses are written to no more", what, mail, len(addresses))
        NEWS.labels(what).inc()


def _told(news: _News) -> tuple[str, Reason | None, list[str]]:
    """What it is called where it is counted, why addresses are off now, and which."""
    kind = (news.event_type or news.notification_type).lower()
    if kind == "bounce" and news.bounce is not None:
        sort = news.bounce.bounce_type.lower()
        named = sort if sort in ("permanent", "transient") else "undetermined"
        reason: Reason | None = "bounce" if sort == "permanent" else None
        return f"bounce, {named}", reason, _addresses(news.bounce.bounced_recipients)
    if kind == "complaint" and news.complaint is not None:
        if news.complaint.complaint_feedback_type == "not-spam":
            return "complaint taken back", None, []
        return "complaint", "complaint", _addresses(news.complaint.complained_recipients)
    return "other", None, []


def _addresses(recipients: list[_Recipient]) -> list[str]:
    found = []
    for one in recipients:
        address = parseaddr(one.email_address)[1]
        try:
            found.append(checked_address(address))
        except ValueError:
            log.warning("SES tells of something that is no address")
    return found
