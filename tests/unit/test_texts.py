"""Text messages: to who asked for them, once, and to numbers that say their country."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipelines.flow import GivenUp
from pipelines.notify_users import Person, UserMail
from pipelines.send_mails import Mail
from serve.notifications.contacts import Directory
from serve.notifications.kinds import Message
from serve.notifications.mailer import MailNotSent, MailRejected, ServerAway
from serve.notifications.notices import NoticeChannel, Notices
from serve.notifications.recorded import AnswerLost, BeingSent
from serve.notifications.sendings import Outcome
from serve.notifications.service import Notifications
from serve.notifications.store import NotificationStore
from serve.notifications.text_channel import Reached, Text, TextChannel, international
from serve.orders.schemas import Address, Contact
from serve.orders.store import Kept
from tests.databases import Databases
from tests.unit.mail_world import FACTS, ManualClock, Rows
from tests.unit.orders import order_view
from tests.unit.test_mails import mail

NUMBER = "+44 7700 900461"
ON = [("order_shipped", "text"), ("order_delivered", "text")]


class Network:
    def __init__(self) -> None:
        self.taken: list[Text] = []
        self.refuse: Exception | None = None
        self.lose_answer = False

    async def send(self, text: Text) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.taken.append(text)
        if self.lose_answer:
            raise TimeoutError("no answer about +447700900461")


class Phones:
    def __init__(self) -> None:
        self.found: Reached | Outcome = Reached(NUMBER, "de")

    async def phone(self, message: Message) -> Reached | Outcome:
        return self.found


class Desk:
    def __init__(self, url: str) -> None:
        self.store = NotificationStore(url)
        self.clock, self.network, self.phones = ManualClock(), Network(), Phones()
        self.channel = TextChannel(self.store, self.network, self.phones, "Troupe", clock=self.clock)

    async def outcomes(self) -> list[Any]:
        def rows() -> list[Any]:
            with self.store._engine.connect() as db:
                return [row[0] for row in db.exec_driver_sql("SELECT outcome FROM texts ORDER BY event_id")]

        return await asyncio.to_thread(rows)


@pytest.fixture
async def desk(databases: Databases) -> AsyncIterator[Desk]:
    made = Desk(databases("notifications"))
    await made.store.turn_off("user:ada", [], ON)
    yield made
    await made.store.close()


async def test_who_asked_for_it_gets_a_text_once_in_their_language(desk: Desk) -> None:
    for _ in range(3):
        await desk.channel.deliver(mail("order_shipped"))
    assert desk.network.taken == [
        Text(
            "+447700900461",
            "Troupe: Ihre Bestellung 0B5A4C1E7F10 ist unterwegs. Sie ist mit DHL & Co unterwegs. Sendungsnummer: <T1>",
        )
    ]
    assert await desk.outcomes() == ["sent"]


async def test_nobody_else_gets_one_and_not_later_either(desk: Desk) -> None:
    await desk.store.turn_off("user:ada", [], [("order_delivered", "text")])
    await desk.channel.deliver(mail("order_shipped"))
    await desk.store.turn_off("user:ada", [], ON)
    await desk.channel.deliver(mail("order_shipped"))
    assert (desk.network.taken, await desk.outcomes()) == ([], ["turned_off"])


@pytest.mark.parametrize(
    ("found", "outcome"),
    [("no_contact", "no_contact"), (Reached("07700 900461", "en"), "rejected"), (Reached("nobody", None), "rejected")],
)
async def test_a_number_that_cannot_be_reached(desk: Desk, found: Reached | Outcome, outcome: str) -> None:
    desk.phones.found = found
    await desk.channel.deliver(mail("order_shipped"))
    assert (desk.network.taken, await desk.outcomes()) == ([], [outcome])


async def test_who_opted_out_with_the_network_is_recorded(desk: Desk) -> None:
    desk.network.refuse = MailRejected("opted out")
    for _ in range(2):
        await desk.channel.deliver(mail("order_shipped"))
    assert await desk.outcomes() == ["rejected"]


async def test_a_lost_answer_means_a_second_text_at_most(desk: Desk) -> None:
    desk.network.lose_answer = True
    for _ in range(2):
        with pytest.raises(AnswerLost) as caught:
            await desk.channel.deliver(mail("order_shipped"))
        assert str(caught.value) == "TimeoutError: no answer about [address]"
        with pytest.raises(BeingSent):
            await desk.channel.deliver(mail("order_shipped"))
        desk.clock.now += 60_000
    with pytest.raises(GivenUp):
        await desk.channel.deliver(mail("order_shipped"))
    assert (len(desk.network.taken), await desk.outcomes()) == (2, [None])


async def test_what_was_not_sent_may_be_sent_at_once(desk: Desk) -> None:
    desk.network.refuse = ServerAway("away")
    with pytest.raises(MailNotSent):
        await desk.channel.deliver(mail("order_shipped"))
    desk.network.refuse = None
    await desk.channel.deliver(mail("order_shipped"))
    assert (len(desk.network.taken), await desk.outcomes()) == (1, ["sent"])


async def test_a_text_has_one_length_at_most(desk: Desk) -> None:
    await desk.channel.deliver(Mail("e1", "order_shipped", order_view(), {**FACTS, "tracking": "9" * 900}))
    assert len(desk.network.taken[0].words) == 300


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+44 7700 900461", "+447700900461"),
        ("0049 (0)151/123-456.78", "+4915112345678"),
        ("+47 22 22 22 22", "+4722222222"),
        ("07700 900461", None),
        ("+0 7700 900461", None),
        ("+44", None),
        ("+44 7700 900461 ext. 5", None),
        ("+1234567890123456", None),
        ("", None),
    ],
)
def test_numbers_as_people_write_them(written: str, number: str | None) -> None:
    assert international(written) == number


@pytest.mark.parametrize(
    ("owner", "on_the_parcel", "own", "expected"),
    [
        ("user:ada", NUMBER, "+49 1", Reached("+49 1", "en")),
        ("user:ada", NUMBER, "", "no_contact"),
        ("user:gone", NUMBER, "", "no_contact"),
        ("guest:g1", NUMBER, "", Reached(NUMBER, "en")),
        ("guest:g1", None, "", "no_contact"),
    ],
)
async def test_whose_number_it_is(owner: str, on_the_parcel: str | None, own: str, expected: Reached | Outcome) -> None:
    address = Address("Ada", "1 Main St", "Oslo", "0150", "NO", phone=on_the_parcel)

    async def person(user_id: str) -> Person | None:
        return None if user_id == "gone" else Person("ada@x.org", "Ada", "de", own)

    kept = Kept("c1", "o1", owner, 5, Contact("a@b.c", address, "en"))
    directory = Directory(Rows(kept), person, "https://troupe.example")
    assert await directory.phone(mail("order_shipped")) == expected
    assert await directory.phone(UserMail("e1", "password_changed", "ada")) == "no_contact"
    assert await Directory(Rows(None), person, "https://troupe.example").phone(mail("order_shipped")) == "no_contact"


async def test_texts_are_asked_for_and_shown_where_there_are_any(databases: Databases) -> None:
    store = NotificationStore(databases("notifications"))
    notices = Notices(store, texts=True)
    wanted = {one.kind: one.channels for one in await notices.preferences("user:ada")}
    assert wanted["order_shipped"] == {"mail": True, "notice": True, "text": False}
    assert wanted["receipt"] == {"mail": True, "notice": True}
    said = await notices.prefer("user:ada", {"order_shipped": {"text": True}, "receipt": {"text": True}})
    assert {one.kind: one.channels for one in said if "text" in one.channels} == {
        "order_shipped": {"mail": True, "notice": True, "text": True},
        "order_delivered": {"mail": True, "notice": True, "text": False},
    }
    assert await store.turned_on("user:ada") == {("order_shipped", "text")}
    await notices.prefer("user:ada", {"order_shipped": {"mail": False}})
    assert (await store.turned_on("user:ada"), await store.turned_off("user:ada")) == (
        set(),
        {("order_shipped", "mail")},
    )
    await store.turn_off("user:ada", [], ON)
    await store.erase_owner("user:ada", 1)
    await store.turn_off("user:ada", [], ON)
    assert await store.turned_on("user:ada") == set()
    assert "text" not in {name for one in await Notices(store).preferences("user:ada") for name in one.channels}
    await notices.close()


async def test_a_shop_without_texts_has_no_such_channel(databases: Databases) -> None:
    store = NotificationStore(databases("notifications"))
    told = Notifications({"notice": NoticeChannel(store)})
    await told.send(mail("order_shipped"))
    await told.give_up(mail("order_shipped"))
    assert (await store.notices("user:ada", limit=9))[1] == 1
    await store.close()


class Told:
    """A channel that fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked = self.given_up = 0

    async def deliver(self, message: Message) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise MailNotSent("away")

    async def give_up(self, message: Message) -> None:
        self.given_up += 1


async def test_a_channel_that_waits_does_not_have_the_others_asked_again() -> None:
    slow, quick = Told(failures=3), Told()
    told = Notifications({"mail": slow, "notice": quick})
    for _ in range(3):
        with pytest.raises(MailNotSent):
            await told.send(mail("order_shipped"))
    await told.send(mail("order_shipped"))
    assert (slow.asked, quick.asked) == (4, 1)
    # A repeated event is every channel's to know again.
    await told.send(mail("order_shipped"))
    assert (slow.asked, quick.asked) == (5, 2)


async def test_after_a_dead_letter_all_are_asked_again() -> None:
    slow, quick = Told(failures=1), Told()
    told = Notifications({"mail": slow, "notice": quick})
    with pytest.raises(MailNotSent):
        await told.send(mail("order_shipped"))
    await told.give_up(mail("order_shipped"))
    await told.send(mail("order_shipped"))
    assert (slow.asked, quick.asked, slow.given_up, quick.given_up) == (2, 2, 1, 1)
