"""Mails: sent once, composed safely, listed for their owner."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import get_args

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from pipelines.flow import GivenUp
from pipelines.notify_users import Person
from pipelines.send_mails import Mail, Template
from serve.notifications.contacts import Directory
from serve.notifications.kinds import Message
from serve.notifications.mail_channel import MailChannel
from serve.notifications.mailer import MailNotSent, MailRejected
from serve.notifications.mails import Addressee, compose
from serve.notifications.recorded import AnswerLost, BeingSent, Unrecorded
from serve.notifications.sendings import Outcome
from serve.notifications.store import NotificationStore
from serve.orders.schemas import Address
from serve.orders.schemas import Contact as OrderContact
from serve.orders.store import Kept
from tests.databases import Databases
from tests.unit.mail_world import FACTS, SENDER, ManualClock, Post, Rows, opened, text_of
from tests.unit.orders import order_view

ORDER_URL = "https://troupe.example/api/orders/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10"
ADA = Addressee("ada@example.com", "Ada", url=ORDER_URL)


def written(template: Template = "receipt", **changed: object) -> EmailMessage:
    to = ADA._replace(**changed)  # type: ignore[arg-type]
    return opened(compose(mail(template), to, "<m@x>", SENDER, 1_772_000_000_000))


def sent_again() -> float:
    return REGISTRY.get_sample_value("troupe_mails_sent_again_total") or 0.0


class People:
    def __init__(self) -> None:
        self.known: dict[str, Addressee] = {"c1": ADA}
        self.away = False

    async def of(self, message: Message) -> Addressee | Outcome:
        if self.away:
            raise ConnectionError("no database")
        assert isinstance(message, Mail)
        return self.known.get(message.order.contact_id, "no_contact")


class Desk:
    def __init__(self, url: str) -> None:
        self.store = NotificationStore(url)
        self.clock = ManualClock()
        self.post = Post()
        self.people = People()
        self.mail = self.another("me")

    def another(self, name: str) -> MailChannel:
        return MailChannel(
            self.store, self.post, self.people, SENDER, clock=self.clock, per_second=10, new_owner=lambda: name
        )

    async def statuses(self) -> list[str]:
        return await asyncio.to_thread(self._statuses)

    def _statuses(self) -> list[str]:
        with self.store._engine.connect() as db:
            rows = db.exec_driver_sql("SELECT outcome FROM mails ORDER BY created_at, message_id").all()
        return [outcome or "sending" for (outcome,) in rows]

    async def lose(self, channel: MailChannel, message: Mail) -> None:
        """The server takes it, and its answer does not come."""
        self.post.lose_answer = TimeoutError("no answer")
        with pytest.raises(AnswerLost):
            await channel.deliver(message)
        self.post.lose_answer = None


@pytest.fixture
async def desk(databases: Databases) -> AsyncIterator[Desk]:
    made = Desk(databases("notifications"))
    yield made
    await made.store.close()


def mail(template: Template = "receipt", event_id: str = "order/o1/6/0") -> Mail:
    return Mail(event_id, template, order_view(), FACTS)


async def test_a_mail_is_sent_once_for_its_event_and_template(desk: Desk) -> None:
    for _ in range(3):
        await desk.mail.deliver(mail())
    await desk.another("other").deliver(mail())
    await desk.mail.deliver(mail("order_confirmation"))
    await desk.mail.deliver(mail(event_id="order/o1/7/0"))
    assert [one["Subject"].split()[0] for one in desk.post.taken] == ["Receipt", "Your", "Receipt"]
    assert len({one["Message-ID"] for one in desk.post.taken}) == 3
    assert await desk.statuses() == ["sent"] * 3


async def test_two_senders_at_once_send_once(desk: Desk) -> None:
    senders = [desk.another(str(n)).deliver(mail()) for n in range(6)]
    results = await asyncio.gather(*senders, return_exceptions=True)
    assert len(desk.post.taken) == 1
    assert {type(one) for one in results} <= {type(None), BeingSent}


async def test_a_lost_answer_means_a_second_sending_under_the_same_id_after_the_end(desk: Desk) -> None:
    before = sent_again()
    await desk.lose(desk.mail, mail())
    assert await desk.statuses() == ["sending"]
    desk.clock.now += 59_999
    for sender in (desk.mail, desk.another("other")):
        with pytest.raises(BeingSent):
            await sender.deliver(mail())
    assert sent_again() == before
    desk.clock.now += 1
    await desk.another("other").deliver(mail())
    assert len(desk.post.taken) == 2
    assert len({one["Message-ID"] for one in desk.post.taken}) == 1
    assert await desk.statuses() == ["sent"]
    assert sent_again() == before + 1


async def test_a_mail_whose_outcome_could_not_be_recorded_is_not_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, end = sent_again(), desk.store.mails.end

    async def busy(*_: object) -> None:
        raise OperationalError("UPDATE mails", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(desk.store.mails, "end", busy)
    for _ in range(3):
        with pytest.raises(Unrecorded, match="receipt of order/o1/6/0"):
            await desk.mail.deliver(mail())
        desk.clock.now += 60_000  # its intent has ended: anybody who knows no better may send it
    monkeypatch.setattr(desk.store.mails, "end", end)
    await desk.mail.deliver(mail())
    assert (len(desk.post.taken), await desk.statuses(), sent_again()) == (1, ["sent"], before)
    await desk.another("other").deliver(mail())
    assert len(desk.post.taken) == 1


async def test_whoever_wants_a_mail_once_more_gets_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stuck:

        async def broken(*_: object) -> None:
            raise OSError("no disk")

        stuck.setattr(desk.store.mails, "end", broken)
        with pytest.raises(Unrecorded):
            await desk.mail.deliver(mail())
    desk.clock.now += 60_000
    await desk.mail.give_up(mail())
    await desk.mail.deliver(mail())
    assert (len(desk.post.taken), await desk.statuses()) == (2, ["sent"])


async def test_a_third_sending_is_for_somebody_to_decide(desk: Desk) -> None:
    for _ in range(2):
        await desk.lose(desk.mail, mail())
        desk.clock.now += 60_000
    for _ in range(3):
        with pytest.raises(GivenUp, match="answer was lost both times"):
            await desk.mail.deliver(mail())
    assert len(desk.post.taken) == 2
    await desk.mail.give_up(mail())
    await desk.another("other").deliver(mail())
    assert len(desk.post.taken) == 3
    assert await desk.statuses() == ["sent"]


async def test_what_is_being_sent_is_not_freed(desk: Desk) -> None:
    await desk.lose(desk.mail, mail())
    await desk.another("other").give_up(mail())
    with pytest.raises(BeingSent):
        await desk.another("other").deliver(mail())


async def test_a_server_that_takes_nothing_for_a_day_is_somebodys_to_look_at(desk: Desk) -> None:
    desk.post.refuse = MailNotSent("451 <ada@example.com> is greylisted")
    before = sent_again()
    for passed in (0, 24 * 3_600_000 - 1):
        desk.clock.now = 1_000_000 + passed
        with pytest.raises(MailNotSent):
            await desk.mail.deliver(mail())
    desk.clock.now += 1
    with pytest.raises(GivenUp) as caught:
        await desk.mail.deliver(mail())
    assert str(caught.value) == ("the server did not take the receipt: MailNotSent: 451 <[address]> is greylisted")
    desk.post.refuse = None
    await desk.mail.deliver(mail())
    assert (len(desk.post.taken), await desk.statuses(), sent_again()) == (1, ["sent"], before)


async def test_errors_of_a_server_name_nobody(desk: Desk) -> None:
    desk.post.lose_answer = RuntimeError("no answer about ada@example.com, Ada <ada@example.com>")
    with pytest.raises(AnswerLost) as caught:
        await desk.mail.deliver(mail())
    assert str(caught.value) == "RuntimeError: no answer about [address], Ada <[address]>"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_an_optional_mail_that_was_turned_off_is_not_sent_and_a_required_one_is(desk: Desk) -> None:
    await desk.store.turn_off(
        "user:ada", [("order_shipped", "mail"), ("receipt", "mail"), ("payment_failed", "notice")]
    )
    for template in ("order_shipped", "receipt", "payment_failed", "order_shipped"):
        await desk.mail.deliver(mail(template))
    assert [one["Subject"].split()[0] for one in desk.post.taken] == ["Receipt", "The"]
    assert await desk.statuses() == ["turned_off", "sent", "sent"]


async def test_what_was_not_sent_may_be_sent_at_once(desk: Desk) -> None:
    desk.post.refuse = MailNotSent("busy")
    with pytest.raises(MailNotSent):
        await desk.mail.deliver(mail())
    desk.post.refuse = None
    desk.people.away = True
    with pytest.raises(ConnectionError):
        await desk.another("other").deliver(mail())
    desk.people.away = False
    await desk.mail.deliver(mail())
    assert len(desk.post.taken) == 1


async def test_what_can_never_be_sent_is_not_tried_again(desk: Desk) -> None:
    desk.post.refuse = MailRejected("no such user")
    await desk.mail.deliver(mail())
    desk.post.refuse = None
    desk.people.known["c1"] = Addressee("not an address\r\nBcc: x@y", "Ada")
    await desk.mail.deliver(mail(event_id="order/o1/7/0"))
    desk.people.known.clear()
    await desk.mail.deliver(mail(event_id="order/o1/8/0"))
    for event in ("6", "7", "8"):
        await desk.mail.deliver(mail(event_id=f"order/o1/{event}/0"))
    assert desk.post.taken == []
    assert sorted(await desk.statuses()) == ["no_contact", "rejected", "rejected"]


async def test_mails_are_paced(desk: Desk) -> None:
    """Ten a second are two each fifth of a second."""
    for n in range(6):
        await desk.mail.deliver(mail(event_id=f"e{n}"))
    assert desk.clock.slept == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6])


@pytest.mark.parametrize("template", get_args(Template))
def test_every_template_renders_and_escapes(template: Template) -> None:
    message = written(template, name="Ada <i>\r\nBcc: x", address=("<b>Oslo</b>",))
    page, text = text_of(message, "html"), text_of(message, "plain")
    assert "Ada &lt;i&gt;" in page
    for markup in ("<i>", "<b>", "<T1>"):
        assert markup not in page
    assert "&lt;" not in text
    assert ORDER_URL in text
    assert message["To"].addresses[0].addr_spec == "ada@example.com"
    assert "Bcc" not in message
    endings = ("4C1E7F10 did not work", "4C1E7F10", "confirmed", "way", "arrived", "cancelled", "could not be accepted")
    assert message["Subject"].endswith(endings)


def test_what_a_receipt_says() -> None:
    message = written()
    assert message["Date"].datetime == datetime.fromtimestamp(1_772_000_000, UTC)
    assert message["From"] == "Troupe <shop@troupe.example>"
    assert message["Content-Language"] == "en"
    assert text_of(message, "plain") == (
        "Hello Ada,\n\n"
        "We received €29.99 on 25 February 2026.\n\n"
        "2 x Mug: €10.00\n"
        "1 x <b>Pot</b> & lid: €15.00\n"
        "Shipping: €4.99\n"
        "Tax (included): €5.00\n"
        "Total: €29.99\n\n"
        f"See your order 0B5A4C1E7F10: {ORDER_URL}\n\n"
        "Troupe\n\n"
        "-- \n"
        "You get this mail whatever your preferences say: it is about something that you must be able to know.\n"
    )


def test_what_a_receipt_says_in_german() -> None:
    message = written(language="de-AT")
    assert message["Subject"] == "Quittung zu Ihrer Bestellung 0B5A4C1E7F10"
    assert message["Content-Language"] == "de"
    assert text_of(message, "plain") == (
        "Guten Tag Ada,\n\n"
        "Wir haben am 25. Februar 2026 29,99\xa0€ erhalten.\n\n"
        "2 x Mug: 10,00\xa0€\n"
        "1 x <b>Pot</b> & lid: 15,00\xa0€\n"
        "Versand: 4,99\xa0€\n"
        "Steuer (enthalten): 5,00\xa0€\n"
        "Gesamtbetrag: 29,99\xa0€\n\n"
        f"Ihre Bestellung 0B5A4C1E7F10 ansehen: {ORDER_URL}\n\n"
        "Troupe\n\n"
        "-- \n"
        "Sie erhalten diese Mail unabhängig von Ihren Einstellungen: Es geht um etwas, das Sie wissen müssen.\n"
    )
    assert '<html lang="de">' in text_of(message, "html")


def test_a_rejected_order_names_what_was_not_there_and_that_nothing_was_charged() -> None:
    message = written("order_rejected")
    assert message["Subject"] == "Your order 0B5A4C1E7F10 could not be accepted"
    assert text_of(message, "plain") == (
        "Hello Ada,\n\n"
        "We could not accept your order: not enough is left of\n\n"
        "1 x <b>Pot</b> & lid\n\n"
        "Nothing was charged. The items of your order are back in your cart.\n\n"
        f"See your order 0B5A4C1E7F10: {ORDER_URL}\n\n"
        "Troupe\n\n"
        "-- \n"
        "You can turn such mails off in your preferences.\n"
    )
    page = text_of(message, "html")
    assert "<li>1 &#215; &lt;b&gt;Pot&lt;/b&gt; &amp; lid</li>" in page
    assert "Mug" not in page


@pytest.mark.parametrize("template", get_args(Template))
@pytest.mark.parametrize("language", ["en", "de"])
def test_pages_are_accessible(template: Template, language: str) -> None:
    page = text_of(written(template, language=language), "html")
    assert page.startswith(f'<!doctype html>\n<html lang="{language}">\n')
    assert page.count("<h1") == page.count("<main") == page.count("<title>") == 1
    assert "<img" not in page
    assert page.count("<table") == page.count("<caption")


@pytest.mark.parametrize(
    ("owner", "email", "language", "expected"),
    [
        ("user:ada", "a@b.c", "en", ("a@b.c", "en", "")),
        ("user:ada", "a@b.c", None, ("a@b.c", "de", "")),
        ("user:ada", None, None, ("ada@account", "de", "")),
        ("user:gone", None, None, None),
        ("guest:g1", "a@b.c", None, ("a@b.c", None, "?access=t%2Bc1")),
        ("guest:g1", None, None, None),
    ],
)
async def test_contacts_come_from_the_order_or_the_account(
    owner: str, email: str | None, language: str | None, expected: tuple[str, str | None, str] | None
) -> None:
    address = Address("Ada", "1 Main St", "Oslo", "0150", "NO")
    kept = Kept("c1", "o1", owner, 5, OrderContact(email, address, language))

    async def person(user_id: str) -> Person | None:
        return None if user_id == "gone" else Person(f"{user_id}@account", "Ada L", "de")

    async def access_token(contact_id: str) -> str | None:
        return f"t+{contact_id}"

    def directory(kept: Kept | None) -> Directory:
        return Directory(Rows(kept), person, "https://troupe.example/", access_token=access_token)

    found = await directory(kept).of(mail())
    lines = ("Ada", "1 Main St", "0150 Oslo", "NO")
    if expected is None:
        assert found == "no_contact"
    else:
        assert found == Addressee(expected[0], "Ada", expected[1], lines, ORDER_URL + expected[2])
    assert await directory(kept._replace(contact=None)).of(mail()) == "no_contact"
    assert await directory(None).of(mail()) == "no_contact"


async def test_a_guest_without_a_token_gets_the_plain_address_of_the_order() -> None:
    async def nothing(_: str) -> None:
        return None

    contact = OrderContact("a@b.c", Address("Ada", "1 Main St", "Oslo", "0150", "NO"))
    rows = Rows(Kept("c1", "o1", "guest:g1", 5, contact))
    for directory in (
        Directory(rows, nothing, "https://troupe.example", access_token=nothing),
        Directory(rows, nothing, "https://troupe.example"),
    ):
        found = await directory.of(mail())
        assert isinstance(found, Addressee)
        assert found.url == ORDER_URL
