"""Two incarnations of one shard, as after a pause of a whole process: the old one can neither write nor be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil

from actors.cart import AddLine, CartView
from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.pricing import Price
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.host import Host
from actors.runtime.in_process import InProcess
from actors.runtime.kind import shard_of
from actors.runtime.limits import Limits
from tests.api.shopping import Buyer, Json, Staff, body, problem
from tests.cluster.owners import owner, rows
from tests.crowds import SETTLE_SECONDS, Crowd, adds_up, until
from tests.running import RunningShop, paused

READERS = 10
WRITERS = 8


@asynccontextmanager
async def another_process(shop: RunningShop) -> AsyncIterator[InProcess]:
    """A runtime with clocks of its own on the shop's journal, of which the shop knows nothing."""
    journal = SqlJournal(str(shop.settings.database("journal")))
    await journal.setup()
    runtime = InProcess(KINDS, journal, SystemClock(), SystemEntropy(), Limits(shards=shop.settings.shards), {})
    try:
        yield runtime
    finally:
        await runtime.stop()
        await journal.close()


async def test_who_wakes_up_as_the_old_one_is_neither_read_nor_does_it_write(
    shop: RunningShop, web: httpx.Client, staff: Staff, skus: list[str]
) -> None:
    buyer = Buyer(web)
    ours, theirs, queued = skus[:3]
    before = await asyncio.to_thread(buyer.add, ours)
    cart: str = before["id"]
    shard = ("cart", shard_of(cart, shop.settings.shards))
    host = await asyncio.to_thread(_host_of, shop, staff, cart)

    async with another_process(shop) as second, Crowd(shop.url, READERS + 1) as crowd:
        with paused(_placement(shop)):
            with paused(host):
                # It finds these when it goes on, and may believe then that the shard is still its own.
                write = asyncio.create_task(_put(crowd, buyer.token, queued))
                new = await second.start("elsewhere", [shard])
                assert shard in new.shards
                added = await second.region.ask("cart", cart, _add(theirs, 2))
                assert isinstance(added.reply, CartView)
                assert added.version == before["version"] + 1
                reads = [asyncio.create_task(_cart(shop, buyer.token)) for _ in range(READERS)]
            # Both run, and nobody gives the old one anything back yet.
            for answer in await asyncio.gather(*reads):
                problem(answer, 503, "unavailable")
            assert not write.done()
            seen = await second.region.read("cart", cart)
            assert (seen.version, seen.reply) == (added.version, added.reply)
        await _healed(shop, new, shard)
        assert await write == 200
        assert set(crowd.again) <= {"503"}, crowd.again
    cart_now = await asyncio.to_thread(buyer.cart, added.version)
    assert _quantities(cart_now) == {ours: 1, theirs: 2, queued: 1}
    await asyncio.to_thread(_bought, buyer)
    await asyncio.to_thread(adds_up, shop)
    _epochs_follow_each_other(shop, shard)


async def test_a_shard_that_is_taken_while_it_is_written_to(
    shop: RunningShop, web: httpx.Client, staff: Staff, skus: list[str]
) -> None:
    """The old one is well and in the midst of it: every write is done once, by whoever has the shard then."""
    buyer = Buyer(web)
    cart: str = (await asyncio.to_thread(buyer.add, skus[0]))["id"]
    shard = ("cart", shard_of(cart, shop.settings.shards))
    done = 0
    enough = False

    async def write(crowd: Crowd) -> None:
        nonlocal done
        while not enough:
            assert await _put(crowd, buyer.token, skus[0]) == 200
            done += 1

    async with another_process(shop) as second, Crowd(shop.url, WRITERS) as crowd, asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write(crowd))
        await until(lambda: done >= WRITERS)
        with paused(_placement(shop)):
            new = await second.start("elsewhere", [shard])
            assert shard in new.shards
            taken = done
            by_then = await second.region.read("cart", cart)
            assert isinstance(by_then.reply, CartView)
            # All that was acknowledged is there, and perhaps some whose answers are still on their way.
            assert by_then.reply.lines[0].quantity >= 1 + taken
        await _healed(shop, new, shard)
        await until(lambda: done >= taken + 2 * WRITERS)
        enough = True
    assert set(crowd.again) <= {"503"}, crowd.again
    assert _quantities(await asyncio.to_thread(buyer.cart)) == {skus[0]: 1 + done}
    await asyncio.to_thread(_bought, buyer)
    await asyncio.to_thread(adds_up, shop)
    _epochs_follow_each_other(shop, shard)


async def _healed(shop: RunningShop, new: Host, shard: tuple[str, int]) -> None:
    """The placement has taken the shard back, and the one who had it meanwhile has stopped."""
    await until(lambda: shard not in new.shards)
    kind, number = shard
    await until(lambda: owner(shop, kind, number).startswith("host-"))


async def _put(crowd: Crowd, token: str, sku: str) -> int:
    return (await crowd.ask("POST", "/api/cart/items", token, {"sku": sku, "quantity": 1})).status_code


async def _cart(shop: RunningShop, token: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=shop.url, timeout=SETTLE_SECONDS) as client:
        return await client.get("/api/cart", headers={"Authorization": f"Bearer {token}"})


def _add(sku: str, quantity: int) -> AddLine:
    return AddLine(sku, quantity, Price(sku, "A thing", 1000))


def _quantities(cart: Json) -> dict[str, int]:
    return {line["sku"]: line["quantity"] for line in cart["lines"]}


def _bought(buyer: Buyer) -> None:
    order = body(buyer.check_out(), 201)
    buyer.order_when(order["id"], status="confirmed")


def _placement(shop: RunningShop) -> psutil.Process:
    (process,) = shop.titled("ray::PlacementActor")
    return process


def _host_of(shop: RunningShop, staff: Staff, cart: str) -> psutil.Process:
    name = owner(shop, "cart", shard_of(cart, shop.settings.shards))
    (pid,) = [item["pid"] for item in body(staff.call("GET", "/api/admin/hosts"))["items"] if item["name"] == name]
    return psutil.Process(pid)


def _epochs_follow_each_other(shop: RunningShop, shard: tuple[str, int]) -> None:
    """Nothing of an old incarnation stands behind the claim of a new one, and no number is missing."""
    found = rows(shop, "SELECT seq, epoch FROM records WHERE kind = ? AND shard = ? ORDER BY seq", *shard)
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    epochs = [int(str(epoch)) for _, epoch in found]
    assert epochs == sorted(epochs)
