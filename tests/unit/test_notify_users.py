"""What happens to accounts is mailed: once, to who is to know, by links that are asked for when they are mailed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from actors import order
from actors.decision import Message
from pipelines.events import users
from pipelines.notify_users import MailLink, Person, UserMail, UserTemplate, notify_users
from pipelines.progress import DeadLetter, SqlProgress
from pipelines.runner import FlowRunner
from pipelines.send_mails import send_mails
from serve.notifications.contacts import Directory
from serve.notifications.kinds import RULES
from serve.notifications.mail_channel import MailChannel
from serve.notifications.mailer import MailNotSent, MailRejected
from serve.notifications.mails import Addressee, compose
from serve.notifications.notices import NoticeChannel
from serve.notifications.service import Notifications
from serve.notifications.store import NotificationStore
from serve.orders.schemas import Address
from serve.orders.schemas import Contact as OrderContact
from serve.orders.store import Kept
from tests.unit.flow_world import DEADLINE, MemoryLog, NotingEntities
from tests.unit.mail_world import SENDER, ManualClock, Post, Rows, opened, text_of
from tests.unit.orders import order_view

AT = 1_772_000_000_000
LINK = MailLink("ada@example.com", "Ada", "en", "https://troupe.example/confirm/s3cret?a=1&b=2", AT + 3_600_000)


class Accounts:
    """The users' service."""

    def __init__(self) -> None:
        self.links: dict[str, MailLink] = {"r1": LINK}
        self.people: dict[str, Person] = {"ada": Person("ada@example.com", "Ada", "de")}
        self.away = False
        self.told_of: list[str] = []

    async def told(self, request: str) -> None:
        self.told_of.append(request)

    async def link(self, request: str) -> MailLink | None:
        if self.away:
            raise ConnectionError("no users")
        return self.links.get(request)

    async def person(self, user_id: str) -> Person | None:
        return self.people.get(user_id)


class PassingClock(ManualClock):
    """What waits makes time pass, so that intents end."""

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
        self.seconds += seconds
        await super().sleep(seconds)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await holds():  # noqa: ASYNC110 (what it waits for stands in a database, too)
            await asyncio.sleep(0.005)


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = PassingClock()
        self.log, self.post, self.accounts = MemoryLog(), Post(), Accounts()
        self.progress = SqlProgress(f"sqlite:///{path / 'flows.db'}")
        self.store = NotificationStore(f"sqlite:///{path / 'notifications.db'}")
        contact = OrderContact("ada@example.com", Address("Ada", "1 Main St", "Oslo", "0150", "NO"), "en")
        self.orders = Rows(Kept("c1", "o1", "user:ada", 5, contact))

    def notifications(self) -> Notifications:
        directory = Directory(self.orders, self.accounts.person, "https://troupe.example", link=self.accounts.link)
        mail = MailChannel(self.store, self.post, directory, SENDER, clock=self.clock)
        return Notifications({"mail": mail, "notice": NoticeChannel(self.store, clock=self.clock)})

    def happens(self, *events: Message, user: str = "ada", version: int = 1) -> None:
        self.log.append(users.KIND, user, version, *events)

    def runner(self) -> FlowRunner:
        return FlowRunner(notify_users(self.notifications(), self.accounts), self.log, self.progress, clock=self.clock)

    async def run(self, runner: FlowRunner | None = None) -> list[DeadLetter]:
        """The flow, from where it stands to the end of the log; its dead letters."""
        running = runner or self.runner()
        await running.start()
        async with asyncio.timeout(DEADLINE):
            await running.reached(self.log.events[-1].position)
        await running.stop()
        return await self.progress.letters(running.flow.name)

    async def no_letters(self, flow: str) -> bool:
        return await self.progress.letters(flow) == []

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self.path / "notifications.db") as db:
            return db.execute(query).fetchall()

    def outcomes(self) -> list[tuple[str, str, str]]:
        return self.rows("SELECT event_id, template, outcome FROM mails ORDER BY event_id")

    def subjects(self) -> list[str]:
        return [str(one["Subject"]) for one in self.post.taken]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.store.close()


@pytest.mark.parametrize(
    ("event", "template", "told"),
    [
        (users.EmailConfirmationRequested("r1", AT), "address_confirmation", False),
        (users.PasswordResetRequested("r1", AT), "password_reset", False),
        (users.EmailChanged("r1", AT), "email_changed", True),
        (users.PasswordChanged(False, AT), "password_changed", True),
        (users.IdentityLinked("google", AT), "sign_in_added", True),
        (users.IdentityUnlinked("google", AT), "sign_in_removed", True),
        (users.UserLoggedIn("s1", False, "password", AT), "new_sign_in", True),
        (users.UserLoggedIn("s1", True, "password", AT), None, False),
        (users.UserRegistered("email", False, AT), None, False),
    ],
)
async def test_which_mail_an_event_makes(world: World, event: Message, template: str | None, told: bool) -> None:
    world.happens(event)
    assert await world.run() == []
    assert world.outcomes() == ([] if template is None else [("user/ada/1/0", template, "sent")])
    notices = [("user:ada", template)] if told else []
    assert world.rows("SELECT owner, kind FROM notices") == notices
    # Another reading of the log, from its beginning: every event comes a second time.
    world.progress = SqlProgress(f"sqlite:///{world.path / 'other.db'}")
    assert await world.run() == []
    assert len(world.post.taken) == (template is not None)
    assert world.rows("SELECT owner, kind FROM notices") == notices


async def test_a_link_is_mailed_and_stands_nowhere_else(world: World) -> None:
    world.happens(users.PasswordResetRequested("r1", AT))
    assert await world.run() == []
    [message] = world.post.taken
    assert message["To"] == "Ada <ada@example.com>"
    assert message["Subject"] == "Set a new password"
    assert LINK.url in text_of(message, "plain")
    assert "until 25 February 2026, 07:13 UTC" in text_of(message, "plain")
    assert 'href="https://troupe.example/confirm/s3cret?a=1&amp;b=2"' in text_of(message, "html")
    for file in world.path.iterdir():
        content = file.read_bytes()
        assert b"s3cret" not in content
        assert b"ada@example.com" not in content


async def test_an_email_change_is_told_to_the_old_address(world: World) -> None:
    world.accounts.links["r2"] = MailLink("old@example.com", "Ada", "de", "", 0)
    world.happens(users.EmailChanged("r2", AT))
    await world.run()
    [message] = world.post.taken
    assert message["To"] == "Ada <old@example.com>"
    assert message["Subject"] == "Die E-Mail-Adresse Ihres Kontos wurde geändert"
    assert world.accounts.told_of == ["r2"]


async def test_an_old_address_is_kept_until_it_was_told(world: World) -> None:
    world.post.lose_answer = RuntimeError("cut off")
    world.happens(users.EmailChanged("r1", AT))
    assert len(await world.run()) == 1
    assert world.accounts.told_of == []


async def test_a_request_that_came_to_nothing_is_recorded_and_not_mailed(world: World) -> None:
    world.happens(users.EmailConfirmationRequested("used", AT))
    world.happens(users.UserLoggedIn("s", False, "password", AT), user="erased")
    assert await world.run() == []
    assert world.post.taken == []
    assert world.outcomes() == [
        ("user/ada/1/0", "address_confirmation", "lapsed"),
        ("user/erased/1/0", "new_sign_in", "no_contact"),
    ]


async def test_preferences_do_not_silence_what_is_required(world: World) -> None:
    unwanted = [("new_sign_in", "mail"), ("new_sign_in", "notice"), ("password_changed", "mail")]
    await world.store.turn_off("user:ada", unwanted)
    world.happens(users.UserLoggedIn("s", False, "password", AT), users.PasswordChanged(True, AT))
    await world.run()
    assert sorted(world.subjects()) == [
        "Das Passwort Ihres Kontos wurde geändert",
        "Eine neue Anmeldung bei Ihrem Konto",
    ]
    assert len(world.rows("SELECT 1 FROM notices")) == 2
    assert "unabhängig von Ihren Einstellungen" in text_of(world.post.taken[0], "plain")


async def test_users_and_server_may_be_away_for_long(world: World) -> None:
    world.happens(users.EmailConfirmationRequested("r1", AT))
    world.accounts.away = True
    running = world.runner()

    async def tried_often() -> bool:
        return len(world.clock.slept) >= 20

    await running.start()
    await until(tried_often)
    world.accounts.away = False
    world.post.refuse = MailNotSent("busy")
    world.clock.slept.clear()
    await until(tried_often)
    world.post.refuse = None
    async with asyncio.timeout(DEADLINE):
        await running.reached(world.log.events[-1].position)
    await running.stop()
    assert len(world.post.taken) == 1
    assert world.outcomes() == [("user/ada/1/0", "address_confirmation", "sent")]


async def test_a_server_whose_answers_are_always_lost_gets_two_mails_then_a_dead_letter_and_a_third_when_asked(
    world: World,
) -> None:
    world.post.lose_answer = RuntimeError("cut off while talking about ada@example.com")
    world.happens(users.PasswordChanged(False, AT))
    [letter] = await world.run()
    assert len({one["Message-ID"] for one in world.post.taken}) == 1
    assert (len(world.post.taken), letter.attempts) == (2, 1)
    assert letter.error == ("GivenUp: the password_changed was sent twice and the server's answer was lost both times")
    assert world.rows("SELECT kind FROM notices") == [("password_changed",)]

    world.post.lose_answer = None
    assert await world.progress.want("notify_users") == 1
    running = world.runner()
    await running.start()
    await until(lambda: world.no_letters("notify_users"))
    await running.stop()
    assert len(world.post.taken) == 3
    assert world.outcomes() == [("user/ada/1/0", "password_changed", "sent")]
    assert world.rows("SELECT kind FROM notices") == [("password_changed",)]


async def test_a_sender_that_is_killed_between_is_followed_by_another(world: World) -> None:
    """Killed when the server has the mail, and before its answer was recorded."""
    world.happens(users.PasswordChanged(False, AT))
    reached = asyncio.Event()

    class Hanging(Post):
        async def send(self, mail: Any) -> None:
            await super().send(mail)
            reached.set()
            await asyncio.Event().wait()

    usual, world.post = world.post, Hanging()
    killed = world.runner()
    await killed.start()
    async with asyncio.timeout(DEADLINE):
        await reached.wait()
    await killed.stop()
    [first] = world.post.taken
    world.post = usual
    assert await world.run() == []
    [second] = world.post.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert world.outcomes() == [("user/ada/1/0", "password_changed", "sent")]


async def test_what_the_server_will_never_take_is_recorded_and_no_dead_letter(world: World) -> None:
    world.happens(users.PasswordChanged(False, AT))
    world.post.refuse = MailRejected("no such user")
    assert await world.run() == []
    assert world.outcomes() == [("user/ada/1/0", "password_changed", "rejected")]


async def test_of_two_mails_of_one_event_each_goes_its_own_way(world: World) -> None:
    """The receipt's answers are lost; the confirmation has arrived, and does not come again when the event does."""

    confirmed = order.OrderConfirmed(amount=2999, paid=2999, currency="EUR", owner="user:ada", contact_id="c1", at=AT)
    world.log.append("order", "o1", 6, confirmed)
    entities = NotingEntities({("order", "o1"): order_view()})

    def runner() -> FlowRunner:
        return FlowRunner(send_mails(entities, world.notifications()), world.log, world.progress, clock=world.clock)

    def kinds() -> list[str]:
        return sorted(subject.split()[0] for subject in world.subjects())

    real_send = world.post.send

    async def send(mail: Any) -> None:
        if str(opened(mail)["Subject"]).startswith("Receipt"):
            world.post.taken.append(opened(mail))
            raise TimeoutError
        await real_send(mail)

    world.post.send = send  # type: ignore[method-assign]
    [letter] = await world.run(runner())
    assert "the receipt was sent twice" in letter.error
    assert kinds() == ["Receipt", "Receipt", "Your"]
    world.post.send = real_send  # type: ignore[method-assign]
    await world.progress.want("send_mails")
    running = runner()
    await running.start()
    await until(lambda: world.no_letters("send_mails"))
    await running.stop()
    assert kinds() == ["Receipt", "Receipt", "Receipt", "Your"]


async def test_an_erased_person_gets_no_notice_whatever_comes_late(world: World) -> None:
    world.happens(users.PasswordChanged(False, AT))
    await world.run()
    await world.store.turn_off("user:ada", [("order_shipped", "mail")])
    assert await world.store.erase_owner("user:ada", AT) == 1
    assert await world.store.erase_owner("user:ada", AT) == 0
    world.accounts.people.clear()
    world.happens(users.PasswordChanged(False, AT), version=2)
    await world.run()
    await world.store.turn_off("user:ada", [("order_shipped", "mail")])
    assert world.rows("SELECT 1 FROM notices UNION ALL SELECT 1 FROM turned_off") == []
    assert world.outcomes()[1] == ("user/ada/2/0", "password_changed", "no_contact")


@pytest.mark.parametrize("template", get_args(UserTemplate))
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_template_renders_and_escapes(template: UserTemplate, language: str) -> None:
    mail = UserMail("e1", template, "ada", "r1", {"at": AT, "provider": "google"})
    to = Addressee("ada@example.com", "Ada <i>", language, url='https://x/"><b>', expires_at=AT)
    message = opened(compose(mail, to, "<m@x>", SENDER, AT))
    page = text_of(message, "html")
    assert "Ada &lt;i&gt;" in page
    assert "<b>" not in page
    assert f'<html lang="{language}">' in page
    assert RULES[template].required
    assert ("whatever your preferences say" in page) == (language == "en")
    # Without a name and a link it reads as well.
    bare = opened(compose(mail, to._replace(name="", url="", expires_at=0), "<m@x>", SENDER, AT))
    assert text_of(bare, "plain").startswith("Hello,\n" if language == "en" else "Guten Tag,\n")
