"""Mails: sent once, composed safely, listed for their owner."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import get_args

import httpx
import pytest
from fastapi import FastAPI

from pipelines.send_mails import Facts, Mail, Template
from serve.gateway.front import Front
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.notifications.api import notification_routes
from serve.notifications.contacts import OrderContacts
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing
from serve.notifications.mails import Sender, compose, day, money
from serve.notifications.service import BeingSent, Contact, Notifications
from serve.notifications.store import NotificationStore
from serve.orders.schemas import Address
from serve.orders.schemas import Contact as OrderContact
from serve.orders.store import Kept
from tests.unit.flow_world import HastyClock
from tests.unit.orders import order_view

SENDER = Sender("Troupe", "shop@troupe.example", "https://troupe.example/")
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


def written(template: Template = "receipt", name: str = "Ada", address: tuple[str, ...] = ()) -> EmailMessage:
    return opened(compose(mail(template), "ada@example.com", name, address, "<m@x>", SENDER, 1_772_000_000_000))


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


class People:
    def __init__(self) -> None:
        self.known: dict[str, Contact] = {"c1": Contact("ada@example.com", "Ada", ("1 Main St", "Oslo"))}
        self.away = False

    async def contact(self, contact_id: str) -> Contact | None:
        if self.away:
            raise ConnectionError("no database")
        return self.known.get(contact_id)


class Desk:
    def __init__(self, path: Path) -> None:
        self.store = NotificationStore(f"sqlite:///{path / 'notifications.db'}")
        self.clock = ManualClock()
        self.post = Post()
        self.people = People()
        self.service = self.another("me")

    def another(self, name: str) -> Notifications:
        return Notifications(
            self.store, self.post, self.people, SENDER, clock=self.clock, per_second=10, new_owner=lambda: name
        )

    async def statuses(self) -> list[str]:
        return [one.status for one in await self.service.page("user:ada")]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.store.close()


def mail(template: Template = "receipt", event_id: str = "order/o1/6/0") -> Mail:
    return Mail(event_id, template, order_view(), FACTS)


async def test_a_mail_is_sent_once_for_its_event_and_template(desk: Desk) -> None:
    for _ in range(3):
        await desk.service.send(mail())
    await desk.another("other").send(mail())
    await desk.service.send(mail("order_confirmation"))
    await desk.service.send(mail(event_id="order/o1/7/0"))
    assert [one["Subject"].split()[0] for one in desk.post.taken] == ["Receipt", "Your", "Receipt"]
    assert len({one["Message-ID"] for one in desk.post.taken}) == 3
    assert await desk.statuses() == ["sent"] * 3


async def test_two_senders_at_once_send_once(desk: Desk) -> None:
    senders = [desk.another(str(n)).send(mail()) for n in range(6)]
    results = await asyncio.gather(*senders, return_exceptions=True)
    assert len(desk.post.taken) == 1
    assert {type(one) for one in results} <= {type(None), BeingSent}


async def test_a_lost_answer_means_a_second_sending_under_the_same_id_after_the_end(desk: Desk) -> None:
    desk.post.lose_answer = TimeoutError()
    with pytest.raises(TimeoutError):
        await desk.service.send(mail())
    desk.post.lose_answer = None
    assert await desk.statuses() == ["sending"]
    desk.clock.now += 59_999
    for sender in (desk.service, desk.another("other")):
        with pytest.raises(BeingSent):
            await sender.send(mail())
    desk.clock.now += 1
    await desk.another("other").send(mail())
    assert len(desk.post.taken) == 2
    assert len({one["Message-ID"] for one in desk.post.taken}) == 1
    assert await desk.statuses() == ["sent"]


async def test_what_was_not_sent_may_be_sent_at_once(desk: Desk) -> None:
    desk.post.refuse = MailNotSent("busy")
    with pytest.raises(MailNotSent):
        await desk.service.send(mail())
    desk.post.refuse = None
    desk.people.away = True
    with pytest.raises(ConnectionError):
        await desk.another("other").send(mail())
    desk.people.away = False
    await desk.service.send(mail())
    assert len(desk.post.taken) == 1


async def test_what_can_never_be_sent_is_not_tried_again(desk: Desk) -> None:
    desk.post.refuse = MailRejected("no such user")
    await desk.service.send(mail())
    desk.post.refuse = None
    desk.people.known["c1"] = Contact("not an address\r\nBcc: x@y", "Ada")
    await desk.service.send(mail(event_id="order/o1/7/0"))
    desk.people.known.clear()
    await desk.service.send(mail(event_id="order/o1/8/0"))
    for event in ("6", "7", "8"):
        await desk.service.send(mail(event_id=f"order/o1/{event}/0"))
    assert desk.post.taken == []
    assert sorted(await desk.statuses()) == ["no_contact", "rejected", "rejected"]


async def test_mails_are_paced(desk: Desk) -> None:
    """Ten a second are two each fifth of a second."""
    for n in range(6):
        await desk.service.send(mail(event_id=f"e{n}"))
    assert desk.clock.slept == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6])


@pytest.mark.parametrize("template", get_args(Template))
def test_every_template_renders_and_escapes(template: Template) -> None:
    message = written(template, "Ada <i>\r\nBcc: x", ("<b>Oslo</b>",))
    page, text = text_of(message, "html"), text_of(message, "plain")
    assert "Ada &lt;i&gt;" in page
    for markup in ("<i>", "<b>", "<T1>"):
        assert markup not in page
    assert "&lt;" not in text
    assert "https://troupe.example/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10" in text
    assert message["To"].addresses[0].addr_spec == "ada@example.com"
    assert "Bcc" not in message
    endings = ("4C1E7F10 did not work", "4C1E7F10", "confirmed", "way", "cancelled", "could not be accepted")
    assert message["Subject"].endswith(endings)


def test_what_a_receipt_says() -> None:
    message = written()
    assert message["Date"].datetime == datetime.fromtimestamp(1_772_000_000, UTC)
    assert message["From"] == "Troupe <shop@troupe.example>"
    assert text_of(message, "plain") == (
        "Hello Ada,\n\n"
        "We received 29.99 EUR on 25 February 2026.\n\n"
        "2 x Mug: 10.00 EUR\n"
        "1 x <b>Pot</b> & lid: 15.00 EUR\n"
        "Shipping: 4.99 EUR\n"
        "Tax (included): 5.00 EUR\n"
        "Total: 29.99 EUR\n\n"
        "Order 0B5A4C1E7F10: https://troupe.example/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10\n\n"
        "Troupe\n"
    )


def test_a_rejected_order_names_what_was_not_there_and_that_nothing_was_charged() -> None:
    message = written("order_rejected")
    assert message["Subject"] == "Your order 0B5A4C1E7F10 could not be accepted"
    assert text_of(message, "plain") == (
        "Hello Ada,\n\n"
        "We could not accept your order: not enough is left of\n\n"
        "1 x <b>Pot</b> & lid\n\n"
        "Nothing was charged. The items of your order are back in your cart.\n\n"
        "Order 0B5A4C1E7F10: https://troupe.example/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10\n\n"
        "Troupe\n"
    )
    page = text_of(message, "html")
    assert "<li>1 &#215; &lt;b&gt;Pot&lt;/b&gt; &amp; lid</li>" in page
    assert "Mug" not in page


def test_money_and_days() -> None:
    assert [money(5, "EUR"), money(-1999, "EUR"), money(7, "JPY"), money(1, "KWD")] == [
        "0.05 EUR",
        "-19.99 EUR",
        "7 JPY",
        "0.001 KWD",
    ]
    assert day(0) == "1 January 1970"


class FakeTokens:
    def known(self, token: str) -> Principal | None:
        return Principal("user", token)

    async def verify(self, token: str) -> Principal:
        raise Problem("invalid_token", "no")


async def test_the_list_is_the_owners_and_pages(desk: Desk) -> None:
    for n in range(3):
        await desk.service.send(mail(event_id=f"e{n}"))
        desk.clock.now += 1
    front = Front(FastAPI(), [notification_routes(desk.service)], tokens=FakeTokens())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http:

        async def page(token: str, **query: str | int) -> httpx.Response:
            return await http.get("/api/notifications", params=query, headers={"Authorization": f"Bearer {token}"})

        first = (await page("ada", limit=2)).json()
        assert [item["at"] for item in first["items"]] == [1_000_002, 1_000_001]
        assert first["items"][0] == {
            "id": desk.service.message_id(mail(event_id="e2")),
            "template": "receipt",
            "order_id": order_view().id,
            "status": "sent",
            "at": 1_000_002,
        }
        second = (await page("ada", limit=2, cursor=first["next"])).json()
        assert ([item["at"] for item in second["items"]], second["next"]) == ([1_000_000], None)
        assert (await page("eve")).json() == {"items": [], "next": None}
        assert (await page("ada", cursor="%%%")).status_code == 422
        assert (await http.get("/api/notifications")).status_code == 401


class Rows:
    def __init__(self, kept: Kept | None) -> None:
        self.kept = kept

    async def contact(self, contact_id: str) -> Kept | None:
        return self.kept


@pytest.mark.parametrize(
    ("owner", "email", "expected"),
    [
        ("user:ada", "a@b.c", "a@b.c"),
        ("user:ada", None, "ada@account"),
        ("guest:g1", None, None),
    ],
)
async def test_contacts_come_from_the_order_or_the_account(owner: str, email: str | None, expected: str | None) -> None:
    address = Address("Ada", "1 Main St", "Oslo", "0150", "NO")
    kept = Kept("c1", "o1", owner, 5, OrderContact(email, address))

    async def account(user_id: str) -> str | None:
        return f"{user_id}@account"

    found = await OrderContacts(Rows(kept), account).contact("c1")
    lines = ("Ada", "1 Main St", "0150 Oslo", "NO")
    assert found == (None if expected is None else Contact(expected, "Ada", lines))
    assert await OrderContacts(Rows(kept._replace(contact=None)), account).contact("c1") is None
    assert await OrderContacts(Rows(None), account).contact("c1") is None
