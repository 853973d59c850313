"""The orders' own database: contacts that can be erased, and a list that older news cannot turn back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from pipelines.list_orders import OrderNote, Parcel
from serve.orders.schemas import Address, Contact, OrderSummary
from serve.orders.store import Filters, GuestContact, Kept, OrderStore, Unlisted
from tests.databases import Databases

CONTACT = Contact("ada@example.com", Address("Ada", "1 Square", "London", "SW1", "GB"))


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[OrderStore]:
    made = OrderStore(databases("orders"))
    yield made
    await made.close()


async def listed(store: OrderStore) -> list[OrderSummary]:
    return await store.page(owner="user:ada", after=None, limit=10)


async def test_a_contact_is_kept_erased_and_dropped(store: OrderStore) -> None:
    await store.keep_contact("c1", "o1", "user:ada", CONTACT, 5)
    assert await store.contact("c1") == Kept("c1", "o1", "user:ada", 5, CONTACT)
    assert await store.contact_of_order("o1") == await store.contact("c1")
    assert await store.erase_contacts("user:eve") == 0
    assert await store.erase_contacts("user:ada") == 1
    assert await store.erase_contacts("user:ada") == 0
    assert await store.contact("c1") == Kept("c1", "o1", "user:ada", 5, None)
    await store.drop_contact("c1")
    assert await store.contact("c1") is None
    assert await store.contact_of_order("o1") is None


async def test_guests_are_found_by_their_address_until_the_contact_is_given_to_an_account(store: OrderStore) -> None:
    ada = Contact("Ada@Example.com", CONTACT.address)
    await store.keep_contact("c1", "o1", "guest:g1", ada, 5)
    await store.keep_contact("c2", "o2", "guest:g2", CONTACT, 6)
    await store.keep_contact("c3", "o3", "guest:g3", Contact("eve@example.com", CONTACT.address), 6)
    await store.keep_contact("c4", "o4", "user:ada", CONTACT, 7)
    both = [GuestContact("c1", "o1", 5), GuestContact("c2", "o2", 6)]
    assert await store.guest_contacts("ADA@example.com") == both
    await store.give_contact("c1", "user:ada")
    assert await store.guest_contacts("ada@example.com") == both[1:]
    assert await store.contact("c1") == Kept("c1", "o1", "user:ada", 5, ada)
    assert sorted(await store.erase_owner("user:ada")) == ["o1", "o4"]
    assert [await store.contact(f"c{n}") for n in (1, 4)] == [
        Kept("c1", "o1", "user:ada", 5, None),
        Kept("c4", "o4", "user:ada", 7, None),
    ]


async def test_contacts_without_a_listed_order_are_found_and_dropped(store: OrderStore) -> None:
    for number in range(5):
        await store.keep_contact(f"c{number}", f"o{number}", "user:ada", CONTACT, number)
    await store.note_order("o0", "user:ada", 0, "placed", 1, "EUR", 1)
    found = [Unlisted(f"c{n}", f"o{n}") for n in (1, 2, 3)]
    assert await store.unlisted_contacts(before=4, after="", limit=10) == found
    assert await store.unlisted_contacts(before=4, after="c1", limit=1) == [found[1]]
    await store.drop_contacts([one.id for one in found])
    await store.drop_contacts([])
    assert [await store.contact(f"c{n}") is not None for n in range(5)] == [True, False, False, False, True]


async def test_contacts_at_the_same_time_share_transactions_and_not_their_errors(store: OrderStore) -> None:
    await store.keep_contact("c5", "o5", "user:ada", CONTACT, 1)
    writes = [store.keep_contact(f"c{n}", f"o{n}", "user:ada", CONTACT, 1) for n in range(10)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [IntegrityError if n == 5 else type(None) for n in range(10)]
    assert await store.erase_contacts("user:ada") == 10


async def test_a_caller_who_goes_away_stalls_nobody(store: OrderStore) -> None:
    gone = asyncio.create_task(store.keep_contact("c1", "o1", "user:ada", CONTACT, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await store.keep_contact("c2", "o2", "user:ada", CONTACT, 1)
    assert await store.contact("c2") is not None


async def test_a_list_goes_only_forward(store: OrderStore) -> None:
    await store.note_order("o1", "user:ada", 7, "placed", 500, "EUR", 1)
    await store.note_order("o1", None, None, "confirmed", None, None, 4)
    for late in (2, 4):
        await store.note_order("o1", None, None, "reserved", None, None, late)
    assert await listed(store) == [OrderSummary("o1", 7, "confirmed", 500, "EUR")]


async def test_an_adopted_order_stays_adopted(store: OrderStore) -> None:
    await store.note_order("o1", "guest:g1", 7, "placed", 500, "EUR", 1)
    await store.note_order("o1", "user:ada", None, "confirmed", None, None, 5)
    await store.note_order("o1", "guest:g1", 7, "placed", 500, "EUR", 1)
    assert await listed(store) == [OrderSummary("o1", 7, "confirmed", 500, "EUR")]


async def test_late_news_fills_gaps(store: OrderStore) -> None:
    await store.note_order("o1", None, None, "confirmed", None, None, 4)
    assert await listed(store) == []
    await store.note_order("o1", "user:ada", 7, "placed", 500, "EUR", 1)
    assert await listed(store) == [OrderSummary("o1", 7, "confirmed", 500, "EUR")]
    await store.forget_list()
    assert await listed(store) == []
    await store.ready()


async def test_who_has_the_token_may_look_until_it_is_revoked(store: OrderStore) -> None:
    for number in (1, 2, 3):
        await store.keep_contact(f"c{number}", f"o{number}", "guest:g", CONTACT, 5)
    first, second = await store.access_token("c1"), await store.access_token("c2")
    assert first is not None
    assert second is not None
    assert (len(first), first == second) == (32, False)
    assert await store.opens("o1", first)
    for order_id, token in (("o2", first), ("o1", ""), ("o1", first[:-1]), ("none", first), ("none", "")):
        assert not await store.opens(order_id, token)
    await store.revoke_access("o1")
    assert await store.access_token("c1") is None
    assert not await store.opens("o1", first)
    assert not await store.opens("o1", "")
    assert await store.opens("o2", second)
    await store.erase_contacts("guest:g")
    assert (await store.access_token("c2"), await store.access_token("none")) == (None, None)
    assert not await store.opens("o2", second)


async def test_lists_are_filtered(store: OrderStore) -> None:
    notes = [
        OrderNote("0199-a1", "user:ada", 100, "confirmed", 500, "EUR", 3, "paid", ("MUG", "TEA")),
        OrderNote("0199-a2", "user:ada", 200, "reserved", 600, "EUR", 2, "failed", ("TEA",)),
        OrderNote("0199-b3", "user:ada", 300, "shipped", 700, "EUR", 9, "paid", ("%",)),
        OrderNote("0199-a4", "user:eve", 300, "shipped", 700, "EUR", 9, "paid", ("MUG",)),
    ]
    await store.note_orders(notes)

    async def found(owner: str | None = "user:ada", **wanted: Any) -> list[str]:
        page = await store.page(owner=owner, filters=Filters(**wanted), after=None, limit=10)
        return [one.id[-2:] for one in page]

    assert await found() == ["b3", "a2", "a1"]
    assert await found(status="shipped") == ["b3"]
    assert await found(payment_status="paid") == ["b3", "a1"]
    assert await found(since=200) == ["b3", "a2"]
    assert await found(until=200) == ["a1"]
    assert await found(since=100, until=101) == ["a1"]
    assert await found(q="0199-A") == ["a2", "a1"]
    assert await found(q="TEA") == ["a2", "a1"]
    assert await found(q="%") == ["b3"]
    assert await found(q="tea") == []
    assert await found(owner=None, q="MUG", payment_status="paid") == ["a4", "a1"]


async def test_the_payment_of_a_list_goes_only_forward_and_ends_with_the_order(store: OrderStore) -> None:
    async def payment(*notes: tuple[int, str | None, str | None]) -> str:
        for version, status, payment_status in notes:
            await store.note_orders([OrderNote("o1", "user:ada", 7, status, 5, "EUR", version, payment_status)])
        return (await listed(store))[0].payment_status

    assert await payment((1, "placed", None)) == "none"
    assert await payment((2, "reserved", "pending"), (3, None, "failed"), (2, None, "pending")) == "failed"
    assert await payment((4, "cancelled", None)) == "none"
    assert await payment((5, None, "paid")) == "paid"
    assert await payment((6, None, "refunded"), (7, "cancelled", None)) == "refunded"
    assert (await listed(store))[0].status == "cancelled"


async def test_parcels_are_found_by_carrier_and_number(store: OrderStore) -> None:
    for number in (1, 2):
        parcels = (Parcel("dhl", "T1", "1"), Parcel("dhl", "T2", "2"))
        note = OrderNote(f"o{number}", "u", 1, "packed", 5, "EUR", 1, parcels=parcels)
        await store.note_orders([note, note])
    assert sorted(await store.parcels("dhl", "T1")) == [("o1", "1"), ("o2", "1")]
    assert await store.parcels("ups", "T1") == []
    await store.forget_list()
    assert await store.parcels("dhl", "T1") == []


async def test_a_database_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            """
            CREATE TABLE contacts (id VARCHAR(64) NOT NULL PRIMARY KEY, order_id VARCHAR(64) NOT NULL,
                owner VARCHAR(160) NOT NULL, created_at BIGINT NOT NULL, contact TEXT);
            CREATE TABLE orders (id VARCHAR(64) NOT NULL PRIMARY KEY, owner VARCHAR(160) NOT NULL,
                placed_at BIGINT NOT NULL, status VARCHAR(32) NOT NULL, total BIGINT NOT NULL,
                currency VARCHAR(3) NOT NULL, version BIGINT NOT NULL);
            INSERT INTO contacts VALUES ('c1', 'o1', 'user:ada', 5, NULL);
            INSERT INTO orders VALUES ('o1', 'user:ada', 7, 'shipped', 500, 'EUR', 9);
            """
        )
    for _ in range(2):
        store = OrderStore(f"sqlite:///{path}")
        assert await store.contact("c1") == Kept("c1", "o1", "user:ada", 5, None)
        assert await store.access_token("c1") is None
        await store.close()
    store = OrderStore(f"sqlite:///{path}")
    assert await listed(store) == [], "the flow makes it again"
    await store.note_order("o1", "user:ada", 7, "placed", 500, "EUR", 1)
    await store.close()
    again = OrderStore(f"sqlite:///{path}")
    assert await listed(again) == [OrderSummary("o1", 7, "placed", 500, "EUR")]
    await again.close()
