"""Guests' orders join the account of their address, and a customer's orders are counted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from actors import order
from actors.decision import Message, Refused
from pipelines.count_orders import count_orders
from pipelines.erase_people import Forgetting
from pipelines.events import users as events
from pipelines.join_guest_orders import Joining, join_guest_orders
from serve.orders.schemas import Address, Contact
from serve.orders.store import OrderStore
from serve.users.accounts_store import AccountsStore
from serve.users.activity import Activity, Ordered
from serve.users.links import new_link
from serve.users.people import People
from serve.users.schemas import LastOrder
from serve.users.store import open_engine
from serve.users.tables import User
from tests.databases import Databases
from tests.unit.flow_world import MemoryLog, NotingEntities
from tests.unit.test_flows import CONFIRMED, run

SQUARE = Address("Ada", "1 Square", "London", "SW1", "GB")
ADA = User("ada", "ada@example.com", "Ada", "hash", (), 1, 1)
ADOPTED = order.OrderAdopted("user:ada", "guest:g1", "reserved", 1_500, "c1")
GUESTS = msgspec.structs.replace(CONFIRMED, owner="guest:g1")


class NoMails:
    def __init__(self) -> None:
        self.erased: list[tuple[str, Sequence[str]]] = []

    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        self.erased.append((owner, orders))


@dataclass
class Shop:
    accounts: AccountsStore
    people: People
    activity: Activity
    orders: OrderStore
    entities: NotingEntities
    folder: Path
    log: MemoryLog

    mails: "NoMails"

    @property
    def joining(self) -> Joining:
        forgetting = Forgetting(self.orders, self.mails, self.people)
        return Joining(self.entities, self.people, self.orders, forgetting)

    def confirm(self) -> None:
        link = new_link("ada", "confirm_email", "ada@example.com", 2, 1000)
        assert self.accounts.request("ada", link)
        self.accounts.confirm(link, None, 3)

    async def hear_of_users(self, *heard: Message) -> None:
        log = MemoryLog()
        log.append(events.KIND, "ada", 2, *heard)
        assert await run(join_guest_orders(self.joining), log, self.folder) == []

    async def hear_of_orders(self, *heard: Message) -> None:
        # Behind what an earlier call has heard: the flow goes on where it was.
        for version, event in enumerate(heard, 5 + len(self.log.events)):
            self.log.append("order", "o1", version, event)
        log = self.log
        assert await run(count_orders(self.activity, self.joining), log, self.folder) == []

    async def owner(self, contact_id: str) -> str:
        kept = await self.orders.contact(contact_id)
        assert kept is not None
        return kept.owner


@pytest.fixture
async def shop(databases: Databases, tmp_path: Path) -> AsyncIterator[Shop]:
    engine = open_engine(databases("users"))
    orders = OrderStore(databases("orders"))
    accounts = AccountsStore(engine)
    accounts.add(ADA)
    await orders.keep_contact("c1", "o1", "guest:g1", Contact("Ada@Example.com", SQUARE), 1)
    await orders.keep_contact("c2", "o2", "guest:g2", Contact("eve@example.com", SQUARE), 1)
    people = People(engine, now=lambda: 2)
    made = Shop(accounts, people, Activity(engine), orders, NotingEntities(), tmp_path, MemoryLog(), NoMails())
    yield made
    await orders.close()
    await made.activity.close()
    engine.dispose()


async def test_orders_of_a_confirmed_address_join_the_account(shop: Shop) -> None:
    shop.confirm()
    await shop.hear_of_users(events.EmailConfirmed(3))
    assert [(one.kind, one.entity, one.command) for one in shop.entities.asked] == [
        ("order", "o1", order.Adopt("user:ada"))
    ]


async def test_the_contact_of_an_adopted_order_is_the_accounts(shop: Shop) -> None:
    shop.confirm()
    await shop.hear_of_orders(ADOPTED)
    assert (await shop.owner("c1"), await shop.owner("c2")) == ("user:ada", "guest:g2")
    assert shop.mails.erased == []


async def test_an_address_that_is_not_confirmed_gets_nobody_anything(shop: Shop) -> None:
    await shop.hear_of_users(events.EmailConfirmed(3), events.UserRegistered("email", False, 3))
    await shop.hear_of_orders(GUESTS)
    assert shop.entities.asked == []


async def test_an_order_that_refuses_keeps_its_contact(shop: Shop) -> None:
    shop.confirm()
    shop.entities.replies["order"] = Refused("no_such_order", "")
    await shop.hear_of_users(events.UserRegistered("google", True, 3))
    assert (len(shop.entities.asked), await shop.owner("c1")) == (1, "guest:g1")


async def test_a_guests_order_joins_also_after_the_address_was_confirmed(shop: Shop) -> None:
    shop.confirm()
    await shop.hear_of_orders(GUESTS)
    assert [one.command for one in shop.entities.asked] == [order.Adopt("user:ada")]


async def test_who_deletes_the_account_meanwhile_is_forgotten_all_the_same(shop: Shop) -> None:
    """Whoever had the order adopted was cut off, and found no account any more when he tried again."""
    shop.confirm()
    shop.accounts.erase("ada", 9)
    await shop.hear_of_orders(ADOPTED)
    kept = await shop.orders.contact("c1")
    assert kept is not None
    assert (kept.owner, kept.contact) == ("user:ada", None)
    assert shop.mails.erased == [("user:ada", ["o1"])]


async def test_confirmed_orders_are_counted_once(shop: Shop) -> None:
    await shop.hear_of_orders(
        CONFIRMED,
        CONFIRMED,
        order.OrderAdopted("user:ada", "guest:g1", "shipped", 2_500),
        msgspec.structs.replace(CONFIRMED, owner="user:nobody"),
    )
    assert await shop.activity.ordered("ada") == Ordered(1, LastOrder(id="o1", at=2_000))
    assert await shop.activity.ordered("nobody") == Ordered(0, None)


async def test_an_adopted_order_counts_from_when_it_stands(shop: Shop) -> None:
    await shop.hear_of_orders(ADOPTED)
    assert (await shop.activity.ordered("ada")).orders == 0
    await shop.hear_of_orders(ADOPTED, CONFIRMED)
    assert await shop.activity.ordered("ada") == Ordered(1, LastOrder(id="o1", at=2_000))
