"""The upkeep: contacts without an order and old mails go, now and then, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.runtime.tasks import Tasks
from serve.notifications import upkeep
from serve.notifications.upkeep import DAY_MS, EVERY_SECONDS, FIRST_SECONDS, MAIL_DAYS, NOTICE_DAYS, UNUSED_DAYS, Upkeep
from serve.orders.schemas import Address, Contact
from serve.orders.store import OrderStore
from tests.databases import Databases
from tests.unit.flow_world import DEADLINE, HastyClock, NotingEntities
from tests.unit.orders import order_view

NOW = 1_772_000_000_000
CONTACT = Contact("ada@example.com", Address("Ada", "1 Square", "London", "SW1", "GB"))


class StandingClock(HastyClock):
    """Sleeps of the upkeep end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.wake = asyncio.Semaphore(0)
        self.asleep = asyncio.Event()

    def wall(self) -> int:
        return NOW

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await self.wake.acquire()


class Suppressions:
    def __init__(self) -> None:
        self.forgotten: list[tuple[int, int]] = []

    async def forget(self, before: int, notifications_before: int) -> int:
        self.forgotten.append((before, notifications_before))
        return 1


class Folder:
    def __init__(self) -> None:
        self.forgotten: list[int] = []
        self.notices_forgotten: list[int] = []
        self.suppressions = Suppressions()
        self.hangs = False
        self.fails = False

    async def forget(self, before: int) -> int:
        self.forgotten.append(before)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise OSError("no folder")
        return 1

    async def forget_notices(self, before: int) -> int:
        self.notices_forgotten.append(before)
        return 0


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[OrderStore]:
    made = OrderStore(databases("orders"))
    yield made
    await made.close()


async def test_only_old_contacts_of_orders_that_never_were_go(
    store: OrderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CONTACTS_AT_ONCE", 2)
    old = NOW - UNUSED_DAYS * DAY_MS - 1
    ages = {"listed": old, "unlisted": old, "never1": old, "never2": old, "never3": old, "young": old + 1}
    for name, created_at in ages.items():
        await store.keep_contact(f"c-{name}", name, "user:ada", CONTACT, created_at)
    await store.note_order("listed", "user:ada", old, "placed", 1, "EUR", 1)
    entities = NotingEntities({("order", "unlisted"): order_view(id="unlisted")})
    folder = Folder()
    await Upkeep(entities, store, folder, folder, folder.suppressions, clock=StandingClock()).once()
    left = {name for name in ages if await store.contact(f"c-{name}") is not None}
    assert left == {"listed", "unlisted", "young"}
    assert {entity for _, entity, _ in entities.reads} == {"unlisted", "never1", "never2", "never3"}
    assert folder.forgotten == [NOW - MAIL_DAYS * DAY_MS]
    assert folder.notices_forgotten == [NOW - NOTICE_DAYS * DAY_MS]
    assert folder.suppressions.forgotten == [(NOW - 365 * DAY_MS, NOW - 7 * DAY_MS)]


async def test_it_goes_on_after_failures_and_hang_ups_until_it_is_cancelled(
    store: OrderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "DEADLINE_SECONDS", 0.05)
    clock, folder, tasks = StandingClock(), Folder(), Tasks()
    tasks.start(Upkeep(NotingEntities(), store, folder, folder, folder.suppressions, clock=clock).run(), "upkeep")

    async def round_ended() -> None:
        clock.asleep.clear()
        clock.wake.release()
        await clock.asleep.wait()

    async with asyncio.timeout(DEADLINE):
        await clock.asleep.wait()
        folder.fails = True
        await round_ended()
        folder.hangs = True
        await round_ended()
        folder.hangs = folder.fails = False
        await round_ended()
        assert clock.slept == [FIRST_SECONDS, EVERY_SECONDS, EVERY_SECONDS, EVERY_SECONDS]
        assert len(folder.forgotten) == 3
        await tasks.close()
    assert len(tasks) == 0
