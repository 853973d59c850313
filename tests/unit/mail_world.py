"""What mails are tested with: a mail server that does as it is told, and a clock that only the test moves."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from pipelines.send_mails import Facts
from serve.notifications.mailer import Outgoing
from serve.notifications.mails import Sender
from serve.orders.store import Kept
from tests.unit.flow_world import HastyClock

SENDER = Sender("Troupe", "shop@troupe.example", "https://troupe.example")


FACTS: Facts = {
    "at": 1_772_000_000_000,
    "paid": 2999,
    "carrier": "DHL & Co",
    "tracking": "<T1>",
    "amount": 500,
    "left": 2499,
    "reason": "deadline",
    "code": "card_declined",
    "skus": ("POT-1",),
}


def opened(mail: Outgoing) -> EmailMessage:
    """As a mail program sees it, which finds nothing wrong with it."""
    found = message_from_bytes(mail.content.replace(b"\r\n", b"\n"), policy=policy.default)
    assert isinstance(found, EmailMessage)
    parts = list(found.walk())
    assert [part.get_content_type() for part in parts] == ["multipart/alternative", "text/plain", "text/html"]
    assert all(not part.defects for part in parts)
    assert found["Message-ID"] == mail.message_id
    return found


def text_of(message: EmailMessage, form: str) -> str:
    part = message.get_body((form,))
    assert part is not None
    return str(part.get_content())


class ManualClock(HastyClock):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.seconds = 0.0

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.seconds


class Post:
    """A mail server that answers as it is told to, and remembers what it took."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.refuse: Exception | None = None
        self.lose_answer: Exception | None = None

    async def send(self, mail: Outgoing) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.taken.append(opened(mail))
        if self.lose_answer is not None:
            raise self.lose_answer

    async def most_per_second(self) -> float | None:
        return None

    async def close(self) -> None:
        pass


class Rows:
    def __init__(self, kept: Kept | None) -> None:
        self.kept = kept

    async def contact(self, contact_id: str) -> Kept | None:
        return self.kept
