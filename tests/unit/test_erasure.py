"""A person is deleted from a whole shop, and then looked for in every byte that it has written."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors import cart, order, stock
from actors.runtime.clock import SystemClock
from pipelines.erase_people import SETTLE_MS, Forgetting, erase_people
from pipelines.events import users as events
from serve.gateway.passwords import Passwords
from serve.gateway.principals import Principal
from serve.notifications.erasing import MailErasure
from serve.notifications.mailer import FolderMailer, Outgoing
from serve.notifications.recorded import BeingSent
from serve.notifications.sendings import NewMail
from serve.notifications.store import NewNotice, NotificationStore
from serve.orders.schemas import Address, Contact
from serve.users import links
from serve.users.accounts import Accounts
from serve.users.links import new_link
from serve.users.schemas import NewAddress, ProfileChange, Registration
from serve.users.store import open_engine
from tests.unit.audited_shop import PRICES, TERMS, History
from tests.unit.flow_world import HastyClock
from tests.unit.test_flows import happened

EMAIL, OLD_EMAIL = "zoe.quist@newmail.example", "zoe.quist@oldmail.example"
NAME, PHONE, STREET, CITY = "Zoe Quistgaard", "+44 7700 900461", "77 Halyard Reach", "Penzance"
LONG = 15.0
TRACES = (EMAIL, OLD_EMAIL, NAME, "Quistgaard", PHONE, STREET, CITY)
NEIGHBOUR = "bo.lind@example.com"


def traces(folder: Path) -> set[tuple[str, str]]:
    """What stands where, in any spelling that a database, JSON or a mail has."""
    found = set()
    for path in folder.rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        for trace in TRACES:
            lower = trace.lower()
            spelt = {lower.encode(), lower.encode("utf-16-le"), lower.replace("@", "=40").encode()}
            if any(one in content for one in spelt):
                found.add((path.name.partition("-wal")[0], trace))
    return found


class Deleted(History):
    """Zoe ordered as a guest, made an account, changed her address, ordered again, and deletes the account."""

    async def _live(self) -> None:
        self.engine = open_engine(self.folder / "users.db")
        self.passwords = Passwords(memory_kib=64, time_cost=1)
        self.accounts = Accounts(self.engine, self.passwords)
        await self.ask("stock", "MUG", stock.Receive(1000))
        for number in range(60):
            await self._neighbour(number)
        await self._order("guest", "guest:g-guest", OLD_EMAIL)
        zoe = await self._zoe()
        await self._order("hers", f"user:{zoe.id}", None)
        await self._until(lambda: self._count(zoe.id), 2)
        await self._until(self._is_mailed, True)
        self.before = traces(self.folder)
        self.exported = (await self.accounts.export(zoe)).model_dump_json()
        await self.accounts.delete(zoe, "three dry umbrellas")
        await self._until(self._mailed, 0)
        await self._until(self._left, set())
        self.neighbour = await self.contacts.contact("k-n7")
        self.zoe = zoe
        await asyncio.to_thread(self.engine.dispose)
        self.passwords.close()

    async def _neighbour(self, number: int) -> None:
        """Rows beside hers, so that pages are split and filled up again."""
        contact = Contact(NEIGHBOUR, Address("Bo Lind", "1 Hill", "Leeds", "LS1", "GB"))
        await self.contacts.keep_contact(f"k-n{number}", f"n{number}", "guest:n", contact, 1)
        wanted = Registration(email=f"bo{number}@example.com", password="three dry umbrellas", name="Bo Lind")
        await self.accounts.register(wanted)

    async def _zoe(self) -> Principal:
        wanted = Registration(email=OLD_EMAIL, password="three dry umbrellas", name=NAME)
        user = await self.accounts.register(wanted)
        zoe = Principal("user", user.id)
        await self._open_link(user.id, "confirm_email", OLD_EMAIL)
        await self._until(lambda: self._owner("guest"), f"user:{user.id}")
        await self._open_link(user.id, "change_email", EMAIL)
        await self.accounts.change_profile(zoe, ProfileChange(phone=PHONE, language="de"))
        address = NewAddress(name=NAME, line1=STREET, city=CITY, postal_code="TR18", country="GB", phone=PHONE)
        for _ in range(5):
            await self.accounts.addresses.add(user.id, address)
        await self.accounts.ask_for_reset(EMAIL)
        return zoe

    async def _open_link(self, user_id: str, purpose: str, email: str) -> None:
        link = new_link(user_id, purpose, email, SystemClock().wall(), 100_000)  # type: ignore[arg-type]
        store = self.accounts._store
        # The one of the registration was a moment ago.
        with store._writing.begin() as connection:
            links.keep(connection, link)
        await self.accounts.confirm_email(link.token, password="three dry umbrellas")

    async def _order(self, order_id: str, owner: str, email: str | None) -> None:
        await self.ask("cart", f"cart-{order_id}", cart.AddLine("MUG", 1, PRICES["MUG"]))
        contact = Contact(email, Address(NAME, STREET, CITY, "TR18", "GB", phone=PHONE))
        await self.contacts.keep_contact(f"k-{order_id}", order_id, owner, contact, 1)
        command = cart.CheckOut(order_id, owner, f"k-{order_id}", TERMS, "card", "pm_card_visa", PRICES, 1_800_000)
        view = await self.ask("cart", f"cart-{order_id}", command, command_id=f"check out {order_id}", follow=True)
        assert isinstance(view, order.OrderView)

    async def _owner(self, order_id: str) -> str:
        view = (await self.entities.read("order", order_id)).reply
        kept = await self.contacts.contact(f"k-{order_id}")
        assert isinstance(view, order.OrderView)
        assert kept is not None
        return view.owner if view.owner == kept.owner else "two"

    async def _count(self, user_id: str) -> int:
        return (await self.accounts.profile(user_id)).order_count

    async def _mailed(self) -> int:
        """Files with her in them; the neighbours get mails, too."""
        return len({place for place, _ in traces(self.folder / "mail") if place.endswith(".eml")})

    async def _is_mailed(self) -> bool:
        # A confirmation and a receipt of each order, at least: of mailed links those that she opened are not sent.
        return await self._mailed() >= 4

    async def _left(self) -> set[tuple[str, str]]:
        return traces(self.folder)

    async def _until(self, look: Callable[[], Awaitable[object]], wanted: object) -> None:
        seen: object = None
        try:
            async with asyncio.timeout(LONG):
                while seen != wanted:
                    seen = await look()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{seen} and not {wanted}")


@pytest.fixture(scope="module")
def deleted(tmp_path_factory: pytest.TempPathFactory) -> Deleted:
    history = Deleted(tmp_path_factory.mktemp("erasure") / "shop")
    asyncio.run(history.make())
    return history


def test_a_person_who_is_deleted_stands_nowhere_any_more(deleted: Deleted) -> None:
    places = {place for place, _ in deleted.before}
    assert {"users.db", "orders.db"} < places
    assert any(place.endswith(".eml") for place in places)
    assert {trace for _, trace in deleted.before} == set(TRACES)
    assert traces(deleted.folder) == set()


def test_what_is_a_persons_is_exported_and_a_neighbours_stays(deleted: Deleted) -> None:
    assert all(trace in deleted.exported for trace in (EMAIL, NAME, PHONE, STREET, CITY))
    assert deleted.neighbour is not None
    assert deleted.neighbour.contact is not None
    assert deleted.neighbour.contact.email == NEIGHBOUR


class NoContacts:
    async def erase_owner(self, owner: str) -> list[str]:
        self.owner = owner
        return ["o1"]


class NoFiles:
    async def scrub(self) -> None:
        self.scrubbed = True


async def test_what_an_ended_session_still_began_is_waited_for(tmp_path: Path) -> None:
    clock, contacts, accounts = HastyClock(), NoContacts(), NoFiles()
    store = NotificationStore(f"sqlite:///{tmp_path / 'notifications.db'}")
    mails = MailErasure(store, FolderMailer(tmp_path / "mail"))
    flow = erase_people(Forgetting(contacts, mails, accounts), clock)
    event = events.UserDeleted(clock.wall() + 60_000)
    await flow.handle(happened(events.KIND, "ada", 3, event), event)
    assert (clock.slept, contacts.owner, accounts.scrubbed) == ([SETTLE_MS / 1000], "user:ada", True)
    await store.close()


async def test_notices_of_orders_that_joined_the_account_go_with_it(tmp_path: Path) -> None:
    store = NotificationStore(f"sqlite:///{tmp_path / 'notifications.db'}")
    for number, (owner, order_id) in enumerate((("guest:g", "o1"), ("guest:g", "o2"), ("user:ada", "o3"))):
        notice = NewNotice(f"n{number}", owner, "receipt", order_id, "EUR", "{}", 1)
        await store.add_notice(notice, optional=False)
    await MailErasure(store, FolderMailer(tmp_path / "mail")).erase("user:ada", ["o1"])
    left, _ = await store.notices("guest:g", limit=9)
    assert ([one.order_id for one in left], await store.notices("user:ada", limit=9)) == (["o2"], ([], 0))
    # Nor does one come that was on its way.
    await store.add_notice(NewNotice("n9", "guest:g", "order_shipped", "o1", "EUR", "{}", 2), optional=False)
    assert len((await store.notices("guest:g", limit=9))[0]) == 1
    await store.close()


async def test_mails_are_deleted_once_they_are_sent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'notifications.db'}"
    store, mailer = NotificationStore(url), FolderMailer(tmp_path / "mail")
    erasure = MailErasure(store, mailer)
    for message_id, owner, order_id in (
        ("<1@x>", "user:ada", "o1"),
        ("<2@x>", "guest:g", "o2"),
        ("<3@x>", "guest:g", "o3"),
    ):
        now = SystemClock().wall()
        await store.mails.begin(NewMail(message_id, message_id, "receipt", order_id, owner), "me", now, now + 60_000)
        await mailer.send(Outgoing(message_id, "a@example.com", b"Ada"))
    with pytest.raises(BeingSent):
        await erasure.erase("user:ada", ["o2"])
    for message_id in ("<1@x>", "<2@x>", "<3@x>"):
        await store.mails.end(message_id, "me", "sent", 1)
    await erasure.erase("user:ada", ["o2"])
    assert [mailer.path(f"<{n}@x>").exists() for n in (1, 2, 3)] == [False, False, True]
    await erasure.erase("user:ada", ["o2"])
    await mailer.close()
    await store.close()
