"""kill -9 in the middle of 200 checkouts: nothing that was acknowledged is lost, everything else ends by itself."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx
import psutil
import pytest

from serve import processes
from tests.api.shopping import Buyer, Json, Money, Staff, money, order_form
from tests.crowds import SETTLE_SECONDS, Crowd, adds_up
from tests.running import RunningShop, end
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(420)

SHOPPERS = 200
BEFORE = 20
"""So many have been answered when the blow falls."""
PLENTY = 8
"""Products that are there for everybody. Every fourth shopper also wants one of which only some can have a unit."""
SCARCE_EVERY = 4
SCARCE_UNITS = 20
PAYMENTS = (
    ("card", "pm_card_visa"),
    ("card", "pm_timeout_after_charge"),
    ("card", "pm_webhook_twice"),
    ("card", "pm_webhook_never"),
    ("cash_on_delivery", ""),
)
KEPT = ("id", "currency", "lines", "totals", "shipping_method", "payment_method", "placed_at")
NOT_YET = ("none", "placed", "reserved")
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def shop() -> Iterator[RunningShop]:
    with RunningShop(TROUPE_RATE_LIMITS="false") as running:
        yield running


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """What was measured is told and not judged: it depends on the machine."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")  # noqa: T201

    return tell


class Shopper(NamedTuple):
    token: str
    skus: tuple[str, ...]
    form: Json


class Goods(NamedTuple):
    plenty: list[str]
    scarce: str


def _goods(shop: RunningShop) -> Goods:
    with shop.client() as web:
        staff = Staff(web, shop.staff_token())
        skus = [f"K-{secrets.token_hex(5)}" for _ in range(PLENTY + 1)]
        for number, sku in enumerate(skus):
            staff.put_product(sku, 1000)
            staff.receive(sku, SHOPPERS if number < PLENTY else SCARCE_UNITS)
    return Goods(skus[:PLENTY], skus[PLENTY])


async def _shopper(crowd: Crowd, goods: Goods, number: int) -> Shopper:
    wanted = [goods.plenty[number % PLENTY]]
    if number % SCARCE_EVERY == 0:
        wanted.append(goods.scarce)
    elif number % SCARCE_EVERY == 1:
        wanted.append(goods.plenty[(3 * number) % PLENTY])
    method, reference = PAYMENTS[number % len(PAYMENTS)]
    # Some ask first for what others ask for last.
    skus = tuple(wanted[:: 1 if number % 8 < 4 else -1])
    return Shopper(await crowd.fill(*skus), skus, order_form(reference, method))


async def _answers(
    crowd: Crowd, shoppers: list[Shopper], blow: Callable[[], asyncio.Task[float]]
) -> tuple[list[httpx.Response], int, float]:
    """What each was told in the end; how many were waiting when the blow fell; how long nobody was served."""
    answered = 0
    enough = asyncio.Event()

    async def check_out(shopper: Shopper) -> httpx.Response:
        nonlocal answered
        answer = await crowd.ask("POST", "/api/orders", shopper.token, shopper.form)
        answered += 1
        if answered == BEFORE:
            enough.set()
        return answer

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check_out(shopper)) for shopper in shoppers]
        await enough.wait()
        waiting = SHOPPERS - answered
        silence = blow()
    return [task.result() for task in tasks], waiting, await silence


async def _survives(shop: RunningShop, say: Say, what: str, blow: Callable[[], object]) -> None:
    goods = await asyncio.to_thread(_goods, shop)
    async with Crowd(shop.url, SHOPPERS + 8) as crowd:
        shoppers = await asyncio.gather(*(_shopper(crowd, goods, number) for number in range(SHOPPERS)))
        bystander = await crowd.fill(goods.plenty[0])
        assert not crowd.again

        def strike() -> asyncio.Task[float]:
            blow()
            return asyncio.create_task(crowd.silence(bystander, goods.plenty[0]))

        answers, waiting, silence = await _answers(crowd, shoppers, strike)
    say(f"{what}: {waiting} of {SHOPPERS} were waiting, no answer for {silence:.1f} s; repeated: {dict(crowd.again)}")
    assert waiting > 0
    await asyncio.to_thread(_everything_stands, shop, goods, shoppers, answers)


def _everything_stands(shop: RunningShop, goods: Goods, shoppers: list[Shopper], answers: list[httpx.Response]) -> None:
    with shop.client() as web:
        ends = [_end(Buyer(web, shopper.token), answer) for shopper, answer in zip(shoppers, answers, strict=True)]
        staff = Staff(web, shop.staff_token())
        bought: Counter[str] = Counter()
        for shopper, order in zip(shoppers, ends, strict=True):
            assert order["status"] == "confirmed" or goods.scarce in shopper.skus, order
            bought.update(shopper.skus if order["status"] == "confirmed" else ())
        assert bought[goods.scarce] == SCARCE_UNITS
        for sku in (*goods.plenty, goods.scarce):
            received = SCARCE_UNITS if sku == goods.scarce else SHOPPERS
            sold = bought[sku]
            staff.stock_when(sku, sold=sold, on_hand=received - sold, held=0, reserved=0, waiting=0)
    assert len({order["id"] for order in ends}) == SHOPPERS
    for order in ends:
        paid = order["status"] == "confirmed" and order["payment_method"] == "card"
        total = order["totals"]["total"]
        assert money(shop, order["id"]) == (Money(1, total, 0) if paid else Money(0, 0, 0)), order
    adds_up(shop)


def _end(buyer: Buyer, answer: httpx.Response) -> Json:
    """The order as it came to be by itself; AssertionError if that is not what was acknowledged."""
    assert answer.status_code in (201, 202, 409), f"{answer.status_code} {answer.text}"
    told: Json = answer.json()
    order_id = told["id"] if answer.status_code != 409 else told["about"]["order_id"]

    def ended() -> Json:
        order = buyer.order(order_id)
        assert order["status"] not in NOT_YET, order
        return order

    order = eventually(ended, SETTLE_SECONDS)
    if answer.status_code == 409:
        assert told["code"] == "out_of_stock", told
        assert order["status"] == "rejected"
    else:
        assert order["version"] >= told["version"]
        if told["version"]:  # else nobody could be asked for more than that it is on its way
            assert {name: order[name] for name in KEPT} == {name: told[name] for name in KEPT}
            assert order["history"][: len(told["history"])] == told["history"]
        if told["status"] not in NOT_YET:
            assert order["status"] == told["status"]
    return order


async def test_of_the_hosts_process(shop: RunningShop, say: Say) -> None:
    (host,) = shop.hosts()
    await _survives(shop, say, "host", lambda: end(host))
    assert [process.pid for process in shop.hosts()] != [host.pid]


async def test_of_the_replicas_process(shop: RunningShop, say: Say) -> None:
    (replica,) = shop.replicas()
    await _survives(shop, say, "replica", lambda: end(replica))
    assert [process.pid for process in shop.replicas()] != [replica.pid]


def test_of_the_process_that_sends_mails(shop: RunningShop) -> None:
    """Nobody tells the one that Ray puts in its place to begin."""
    goods = _goods(shop)
    (mails,) = shop.titled("ray::MailsActor")
    end(mails)
    before = set(shop.settings.mails.glob("*.eml"))
    with shop.client() as web:
        assert Buyer(web).buy(goods.plenty[0])["status"] == "confirmed"
    eventually(lambda: set(shop.settings.mails.glob("*.eml")) - before, SETTLE_SECONDS)


def test_of_the_placements_process_and_then_of_the_replicas(shop: RunningShop) -> None:
    """Who comes new to a placement that has just come back learns from it where everything is."""
    for first in (shop.titled("ray::PlacementActor"), shop.replicas()):
        (process,) = first
        end(process)
    eventually(lambda: _is_ready(shop), SETTLE_SECONDS)
    goods = _goods(shop)
    with shop.client() as web:
        assert Buyer(web).buy(goods.plenty[0])["status"] == "confirmed"
    adds_up(shop)


async def test_of_every_process_at_once_and_a_start_on_the_same_data(shop: RunningShop, say: Say) -> None:
    front = processes.noted(shop.settings.data_dir)
    assert front is not None
    everything = [psutil.Process(front.pid), *shop.marked()]
    restarts: list[asyncio.Future[None]] = []

    def restart() -> None:
        shop.kill()
        shop.start()

    def blow() -> None:
        for process in everything:
            end(process)
        restarts.append(asyncio.get_running_loop().run_in_executor(None, restart))

    await _survives(shop, say, "everything", blow)
    await restarts[0]


def _is_ready(shop: RunningShop) -> bool:
    try:
        return httpx.get(f"{shop.url}/api/health/ready").status_code == 200
    except httpx.TransportError:
        return False
