"""What became of all that shoppers were promised: was anything lost, done twice, or left hanging?"""

import asyncio
import time
from collections import Counter
from collections.abc import Set
from typing import NamedTuple

from serve.audit.report import lines_of
from tests.api.shopping import Json, Money, Staff, body, money
from tests.crowds import looked
from tests.running import RunningShop
from tests.servers.at_stripe import AtStripe, reconciled
from tests.servers.load import PLENTY, Bought, Load

SETTLE_SECONDS = 120.0
NOT_YET = ("none", "placed", "reserved")
AT_ONCE = 8
EXAMPLES = 3
AUDIT_EVERY = 1.0


class Verdict(NamedTuple):
    """Sentences of each sort, and after how many seconds all was at rest."""

    lost: list[str]
    twice: list[str]
    hanging: list[str]
    settled_after: float


class Ended(NamedTuple):
    bought: Bought
    order: Json


async def judge(
    shop: RunningShop, load: Load, goods: list[str], ends: Set[str], stripe: AtStripe | None = None
) -> Verdict:
    """After the load has stopped; waits until all has ended, two minutes at most.

    `ends`: what may become of an order. `stripe`: what the shop pays at, if not the test gateway.
    """
    began = time.monotonic()
    verdict = Verdict([], [], [], 0.0)
    ended = await _ended(load, verdict, began + SETTLE_SECONDS)
    paid = None if stripe is None else await asyncio.to_thread(stripe.money)
    for one in ended:
        of_one = money(shop, one.order["id"]) if paid is None else paid.get(one.order["id"], Money(0, 0, 0))
        _check_order(one, of_one, verdict, ends)
    for token, wanted in load.carts.items():
        cart = body(await load.ask("GET", f"/api/cart?version={load.versions.get(token, 0)}", token))
        found = Counter({line["sku"]: line["quantity"] for line in cart["lines"]})
        _compare("a cart", found, wanted, verdict)
    await asyncio.to_thread(_rests, shop, goods, ended, verdict, began + SETTLE_SECONDS)
    return verdict._replace(settled_after=round(time.monotonic() - began, 1))


async def _ended(load: Load, verdict: Verdict, until: float) -> list[Ended]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def find(bought: Bought) -> Ended | None:
        if bought.answer.status_code not in (201, 202):
            verdict.lost.append(f"a checkout ended with {bought.answer.status_code} {bought.answer.text[:200]}")
            return None
        order_id = bought.answer.json()["id"]
        while True:
            async with turn:
                found = await load.ask("GET", f"/api/orders/{order_id}", bought.token)
            if found.status_code != 200:
                verdict.lost.append(f"order {order_id}: {found.status_code}")
                return None
            order: Json = found.json()
            if order["status"] not in NOT_YET:
                return Ended(bought, order)
            if time.monotonic() > until:
                verdict.hanging.append(f"order {order_id} is {order['status']}, payment {order['payment_status']}")
                return None
            await asyncio.sleep(0.5)

    return [one for one in await asyncio.gather(*map(find, load.bought)) if one is not None]


def _check_order(one: Ended, found: Money, verdict: Verdict, ends: Set[str]) -> None:
    order, told = one.order, one.bought.answer.json()
    if order["status"] not in ends:
        verdict.lost.append(f"order {order['id']} ended as {order['status']}")
    if told["status"] not in NOT_YET and told["status"] != order["status"]:
        verdict.lost.append(f"order {order['id']} was {told['status']} and is {order['status']}")
    _compare(
        "an order",
        Counter({line["sku"]: line["quantity"] for line in order["lines"]}),
        Counter(one.bought.skus),
        verdict,
    )
    paid = order["status"] == "confirmed" and order["payment_method"] == "card"
    total = order["totals"]["total"]
    if found.captured > (total if paid else found.refunded) or found.captures > 1:
        verdict.twice.append(f"order {order['id']} is {order['status']} and cost {found} for {total}")
    elif paid and found != Money(1, total, 0):
        verdict.lost.append(f"order {order['id']} is paid with {found} of {total}")


def _compare(where: str, found: Counter[str], wanted: Counter[str], verdict: Verdict) -> None:
    for sku in found | wanted:
        if found[sku] != wanted[sku]:
            sort = verdict.lost if found[sku] < wanted[sku] else verdict.twice
            sort.append(f"{where} has {found[sku]} of {sku} and not {wanted[sku]}")


def _rests(shop: RunningShop, goods: list[str], ended: list[Ended], verdict: Verdict, until: float) -> None:
    """The stock has sold what orders have, and the audit finds nothing wrong and nothing under way."""
    while True:
        findings = looked(shop.settings)
        if findings.clean(settled=True) and shop.settings.stripe_secret_key is not None:
            findings = reconciled(shop.settings)
        if findings.clean(settled=True) or findings.damage:
            break
        if time.monotonic() > until:
            verdict.hanging.extend(lines_of(findings, settled=True))
            break
        # An audit is work, which the shop on the same machine should not have to wait for all the time.
        time.sleep(AUDIT_EVERY)
    verdict.lost.extend(findings.damage)
    sold = Counter(sku for one in ended if one.order["status"] == "confirmed" for sku in one.bought.skus)
    with shop.client() as web:
        staff = Staff(web, shop.staff_token())
        for sku in goods:
            stock = staff.stock(sku)
            _compare("what was sold", Counter({sku: stock["sold"]}), Counter({sku: sold[sku]}), verdict)
            if stock["on_hand"] + stock["sold"] != PLENTY:
                verdict.lost.append(f"{sku}: {stock}")
            if stock["held"] or stock["reserved"] or stock["waiting"]:
                verdict.hanging.append(f"{sku}: {stock}")
