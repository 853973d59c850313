"""The orders' own database: contacts that can be erased, and a list that older news cannot turn back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from serve.orders import store as store_module
from serve.orders.schemas import Address, Contact, OrderSummary
from serve.orders.store import GuestContact, Kept, OrderStore, Unlisted

CONTACT = Contact("ada@example.com", Address("Ada", "1 Square", "London", "SW1", "GB"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[OrderStore]:
    made = OrderStore(f"sqlite:///{tmp_path / 'orders.db'}")
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


async def test_guests_are_found_without_reading_every_contact(store: OrderStore) -> None:
    def plan(connection: Connection) -> list[str]:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {store_module._OF_GUESTS}", ("a",)).all()
        return [row.detail for row in rows]

    assert any("INDEX contacts_by_email (<expr>=?)" in step for step in await store._read(plan))


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
