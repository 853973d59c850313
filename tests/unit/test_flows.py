"""Each flow: which events it reads, and what it makes of them."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from actors import order, payment
from actors.decision import Message, Refused
from actors.pricing import Shipping, Terms, Totals
from pipelines.flow import Flow, NotAccepted, command_id
from pipelines.list_orders import STATUS, Event
from pipelines.log.base import Happened
from pipelines.open_payments import open_payments
from pipelines.progress import SqlProgress
from pipelines.runner import FlowRunner
from pipelines.send_mails import Mail, send_mails
from pipelines.settle_orders import settle_orders
from tests.unit.flow_world import DEADLINE, HastyClock, MemoryLog, NotingEntities
from tests.unit.orders import order_view

PLACED = order.OrderPlaced(
    amount=2999,
    currency="EUR",
    method="card",
    reference="pm_card_visa",
    deadline_at=9_000,
    owner="user:ada",
    contact_id="c1",
    awaits_payment=True,
)
OPENED = order.OrderOpened(
    cart_id="ada",
    owner="user:ada",
    contact_id="c1",
    lines=(),
    terms=Terms("EUR", 2000, True, Shipping("standard", "Standard", 499)),
    totals=Totals(2500, 499, 500, 2999),
    method="card",
    payment_reference="pm_card_visa",
    deadline=900,
    at=1_000,
)
CONFIRMED = order.OrderConfirmed(amount=2999, paid=2999, currency="EUR", owner="user:ada", contact_id="c1", at=2_000)


def happened(kind: str, entity: str, version: int, event: Message) -> Happened:
    return Happened(1, kind, entity, version, 0, 0, msgspec.msgpack.encode(event))


async def run(flow: Flow, log: MemoryLog, path: Path) -> list[str]:
    """Run the flow over the whole log; the ids of its dead letters."""
    progress = SqlProgress(f"sqlite:///{path / 'flows.db'}")
    runner = FlowRunner(flow, log, progress, clock=HastyClock())
    await runner.start()
    async with asyncio.timeout(DEADLINE):
        await runner.reached(log.events[-1].position)
    await runner.stop()
    letters = await progress.letters(flow.name)
    await progress.close()
    return [letter.happened.id for letter in letters]


async def test_a_placed_order_has_its_payment_opened(tmp_path: Path) -> None:
    log, entities = MemoryLog(), NotingEntities()
    log.append("order", "o1", 3, order.OrderReserved(at=5), PLACED)
    log.append("order", "o2", 3, msgspec.structs.replace(PLACED, awaits_payment=False))
    assert await run(open_payments(entities), log, tmp_path) == []
    command = payment.Open("o1", 2999, "EUR", "card", "pm_card_visa", 9_000, "user:ada")
    made = command_id("open_payments", log.events[1])
    assert entities.asked == [("payment", "o1", command, made)]


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (
            payment.PaymentActionRequired("/page", "three_d_secure"),
            order.PaymentActionRequired("/page", "three_d_secure"),
        ),
        (payment.PaymentProcessing(), order.PaymentProcessing()),
        (payment.PaymentCaptured(2999, "EUR"), order.PaymentCaptured(2999)),
        (payment.PaymentFailed("card_declined"), order.PaymentFailed("card_declined")),
        (payment.PaymentClosed("deadline"), order.PaymentClosed()),
        (payment.PaymentRefunded("r1", 500, "EUR"), order.PaymentRefunded("r1", 500)),
        (payment.RefundFailed("r1", "no", True), order.RefundFailed("r1")),
        (payment.RefundFailed("r1", "no", False), None),
        (payment.CashRecorded(2999, "EUR"), None),
        (payment.IntentMade("pi"), None),
    ],
)
async def test_an_order_is_told_of_its_payment(event: Message, command: Message | None, tmp_path: Path) -> None:
    log, entities = MemoryLog(), NotingEntities()
    log.append("payment", "o1", 4, event)
    assert await run(settle_orders(entities), log, tmp_path) == []
    made = command_id("settle_orders", log.events[0])
    assert entities.asked == ([] if command is None else [("order", "o1", command, made)])


async def test_a_refusal_is_a_dead_letter(tmp_path: Path) -> None:
    log, entities = MemoryLog(), NotingEntities()
    entities.replies["order"] = Refused("strange", "no")
    log.append("payment", "o1", 4, payment.PaymentCaptured(1, "EUR"))
    log.append("payment", "o1", 5, payment.PaymentProcessing())
    flow = settle_orders(entities)
    with pytest.raises(NotAccepted):
        await flow.handle(log.events[0], payment.PaymentCaptured(1, "EUR"))
    assert await run(flow, log, tmp_path) == ["payment/o1/4/0", "payment/o1/5/0"]
    assert {type(one.command) for one in entities.asked} == {order.PaymentCaptured}


def test_every_listed_event_has_a_status() -> None:
    assert {*STATUS, order.OrderAdopted} == set(Event.__args__)  # which says it itself


class Letterbox:
    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)

    async def give_up(self, mail: Mail) -> None:
        raise AssertionError("nothing was given up")


@pytest.mark.parametrize(
    ("event", "changed", "mails"),
    [
        (CONFIRMED, {}, [("order_confirmation", {"at": 2_000}), ("receipt", {"paid": 2999, "at": 2_000})]),
        (msgspec.structs.replace(CONFIRMED, paid=0), {"paid": 0}, [("order_confirmation", {"at": 2_000})]),
        (
            order.OrderDelivered(at=5),
            {"method": "cash_on_delivery", "paid": 2999},
            [("order_delivered", {"at": 5}), ("receipt", {"paid": 2999, "at": 5})],
        ),
        (order.OrderDelivered(at=5), {}, [("order_delivered", {"at": 5})]),
        (
            order.OrderShipped(carrier="DHL", tracking="T1", owner="user:ada", contact_id="c1", at=5),
            {},
            [("order_shipped", {"carrier": "DHL", "tracking": "T1"})],
        ),
        (
            order.OrderRefunded(
                refund_id="r", amount=5, left=2994, currency="EUR", owner="user:ada", contact_id="c1", at=5
            ),
            {},
            [("order_refunded", {"amount": 5, "left": 2994})],
        ),
        (
            order.OrderCancelled(reason="deadline", owner="user:ada", contact_id="c1", at=5),
            {},
            [("order_cancelled", {"reason": "deadline"})],
        ),
        (
            order.OrderRejected(skus=("MUG",), owner="user:ada", contact_id="c1", at=5),
            {},
            [("order_rejected", {"skus": ("MUG",)})],
        ),
        (
            order.PaymentChanged(status="failed", at=5, code="card_declined"),
            {},
            [("payment_failed", {"code": "card_declined"})],
        ),
        (order.PaymentChanged(status="processing", at=5), {}, []),
    ],
)
async def test_which_mails_an_event_makes(
    event: Message, changed: dict[str, object], mails: list[tuple[str, dict[str, object]]], tmp_path: Path
) -> None:
    log, letterbox, view = MemoryLog(), Letterbox(), order_view(**changed)
    log.append("order", "o1", 6, event)
    entities = NotingEntities({("order", "o1"): view})
    assert await run(send_mails(entities, letterbox), log, tmp_path) == []
    assert [(mail.template, mail.facts) for mail in letterbox.mails] == mails
    assert all((mail.event_id, mail.order) == ("order/o1/6/0", view) for mail in letterbox.mails)
    assert all(read == ("order", "o1", 6) for read in entities.reads)
