"""Money that is set aside at the checkout and captured when the order is packed, and refunds that fail late.

The rules by example, of the session, of the order, and of the transactions that follow.
"""

import pytest

from actors import order, payment, stock
from actors.decision import ClearTimer, Decision, Refused, SetTimer
from actors.order import NoteShipment, OrderCancelled, OrderConfirmed, OrderPacked, OrderPaid, Pack, PaymentChanged
from actors.order import OrderRefundFailed as Failed
from actors.payment import (
    AttemptAnswered,
    CancelAsked,
    CancelIntent,
    Cancelled,
    Capture,
    CaptureAnswered,
    CaptureAsked,
    CaptureEnded,
    CaptureIntent,
    Close,
    ClosingBegan,
    CreateIntent,
    GatewayNotified,
    IntentCreated,
    LookedUp,
    LookStarted,
    NoteRefundFailed,
    Open,
    Outcome,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentClosed,
    Poll,
    Refund,
    RefundAnswered,
    RefundFailed,
    RefundIntent,
    RetryRefunds,
    TryMethod,
)
from actors.payment_decisions import FIRST_POLL, FIRST_RETRY
from pipelines.keep_transactions import Event as Told
from pipelines.keep_transactions import Session as Kept
from pipelines.keep_transactions import followed
from pipelines.list_orders import listed
from pipelines.log.base import Happened
from pipelines.send_mails import due
from tests.unit.test_order import LINES, NOW, TERMS, TOTAL, Desk, code, confirmed, place, reserved, sent
from tests.unit.test_payment import SUCCEEDED, Session, paid, started

OPEN = Open("o", 500, "EUR", "card", "pm_1", 9_000, "u1", "manual")
AUTHORISED = Outcome("authorised", brand="visa", last4="4242")
GONE = Outcome("canceled")


def authorised() -> Session:
    return Session(OPEN, IntentCreated("pi", 1, AUTHORISED))


def capturing() -> Session:
    session = authorised()
    session.tell(Capture())
    return session


def test_the_intent_is_asked_for_with_its_capture_method() -> None:
    assert started(Session().tell(OPEN)) == [CreateIntent("o", 500, "EUR", 1, 1, "card", "pm_1", NOW, "manual")]


def test_what_is_set_aside_waits_for_the_order() -> None:
    session = Session(OPEN, IntentCreated("pi", 1, Outcome("processing")))
    decision = session.tell(GatewayNotified("pi"))
    decision = session.tell(LookedUp(1, AUTHORISED))
    assert decision.events[-1] == PaymentAuthorised(500, "EUR", "visa", "4242")
    assert decision.timers == (ClearTimer("poll"),), "nobody looks while nothing is to happen"
    assert (payment.view(session.state).status, payment.view(session.state).captured) == ("authorised", 0)
    assert payment.settled(session.state)
    assert session.tell(TryMethod("card", "pm_2", 1)) == Decision(), "no other attempt while money is set aside"
    assert session.tell(AttemptAnswered(1, AUTHORISED)) == Decision()


def test_the_order_asks_for_it_once() -> None:
    session = authorised()
    decision = session.tell(Capture())
    assert decision.events == (CaptureAsked(1),)
    assert started(decision) == [CaptureIntent("o", "pi", 1)]
    assert CaptureIntent("o", "pi", 1).key == "o/capture/1"
    assert decision.timers == (SetTimer("poll", NOW + FIRST_POLL, Poll()),)
    assert not payment.settled(session.state)
    assert session.tell(Capture()) == Decision()
    decision = session.tell(CaptureAnswered(1, SUCCEEDED))
    assert decision.events == (CaptureEnded(1), PaymentCaptured(500, "EUR"))
    assert decision.timers == (ClearTimer("poll"),)
    assert payment.settled(session.state)


@pytest.mark.parametrize("session", [Session(OPEN), paid()])
def test_there_is_nothing_else_to_capture(session: Session) -> None:
    assert session.tell(Capture()) == Decision()


def test_a_capture_that_did_not_work_is_asked_for_again_after_a_look() -> None:
    session = capturing()
    assert session.tell(CaptureAnswered(1, AUTHORISED)).events == (CaptureEnded(1),)
    assert session.tell(Poll()).events == (LookStarted(1, 1),)
    decision = session.tell(LookedUp(1, AUTHORISED))
    assert decision.events[-1] == CaptureAsked(2)
    assert started(decision) == [CaptureIntent("o", "pi", 2)]
    late = session.tell(CaptureAnswered(1, GONE))
    assert late.events == (PaymentClosed("gateway"),), "that is so whenever it is said"


def test_what_the_bank_let_go_of_is_never_captured() -> None:
    assert capturing().tell(CaptureAnswered(1, GONE)).events == (CaptureEnded(1), PaymentClosed("gateway"))
    session = authorised()
    session.tell(GatewayNotified("pi"))
    assert session.tell(LookedUp(1, GONE)).events[-1] == PaymentClosed("gateway")


def test_an_authorisation_that_turned_into_a_refusal_is_closed() -> None:
    session = capturing()
    decision = session.tell(CaptureAnswered(1, Outcome("failed", code="declined")))
    assert decision.events == (CaptureEnded(1), ClosingBegan("authorisation_lost"), CancelAsked(1))
    assert started(decision) == [CancelIntent("o", "pi", 1)]
    assert session.tell(Cancelled(GONE)).events[-1] == PaymentClosed("authorisation_lost")


def test_closing_lets_go_of_what_is_set_aside() -> None:
    session = authorised()
    decision = session.tell(Close("customer"))
    assert decision.events == (ClosingBegan("customer"), CancelAsked(1))
    assert session.tell(Capture()) == Decision()
    assert session.tell(Cancelled(GONE)).events[-1] == PaymentClosed("customer")


def test_closing_waits_for_a_capture_under_way() -> None:
    session = capturing()
    assert session.tell(Close("staff")).effects == ()
    assert session.tell(CaptureAnswered(1, SUCCEEDED)).events == (CaptureEnded(1), PaymentCaptured(500, "EUR"))


# The order


def standing() -> Desk:
    desk = reserved()
    desk.tell(order.PaymentAuthorised(TOTAL))
    return desk


def packed() -> Desk:
    desk = standing()
    desk.tell(Pack())
    return desk


def test_the_order_says_what_the_checkout_said() -> None:
    manual = Desk(order.Place("u1", "u1", "c1", LINES, TERMS, place().totals, "card", "pm_1", 60_000, "manual"))
    manual.tell(order.Held("bolt"))
    [placed] = [one for one in manual.tell(order.Held("cog")).events if isinstance(one, order.OrderPlaced)]
    assert placed.capture_method == "manual"


def test_an_order_stands_once_its_money_is_set_aside() -> None:
    desk = reserved()
    decision = desk.tell(order.PaymentAuthorised(TOTAL))
    assert decision.events == (
        PaymentChanged("authorised", NOW),
        OrderConfirmed(TOTAL, 0, "EUR", "u1", "c1", NOW),
    )
    assert decision.timers == (ClearTimer("deadline"),)
    shown = order.view(desk.state)
    assert (shown.status, shown.payment_status, shown.paid) == ("confirmed", "authorised", 0)
    assert desk.tell(order.PaymentAuthorised(TOTAL)) == Decision()


def test_packing_captures_and_only_then_it_is_shipped() -> None:
    desk = standing()
    decision = desk.tell(Pack())
    assert decision.events == (OrderPacked(NOW),)
    assert sent(decision) == [("payment", "o", Capture())]
    assert code(desk.tell(order.Ship("post", "1Z"))) == "not_captured"
    assert code(desk.tell(order.AddShipment("post", "1Z", {"bolt": 1}))) == "not_captured"
    decision = desk.tell(order.PaymentCaptured(TOTAL))
    assert decision.events == (OrderPaid(TOTAL, NOW, stood=True),)
    assert desk.tell(order.PaymentCaptured(TOTAL)) == Decision()
    assert desk.state.payment_status == "paid"
    desk.tell(order.Ship("post", "1Z"))
    desk.tell(NoteShipment("1", "delivered", NOW))
    assert desk.state.status == "delivered"


def test_a_receipt_goes_out_when_the_money_has_come() -> None:
    desk = packed()
    [event] = desk.tell(order.PaymentCaptured(TOTAL)).events
    assert isinstance(event, OrderPaid)
    shown = order.view(desk.state)
    assert due(event, shown) == [("receipt", {"paid": TOTAL, "at": NOW})]
    assert due(OrderPaid(TOTAL, NOW), shown) == []
    assert due(OrderConfirmed(TOTAL, 0, "EUR", "u1", "c1", NOW), shown) == [("order_confirmation", {"at": NOW})]


def test_nothing_is_refunded_before_it_is_captured() -> None:
    refused = standing().tell(order.Refund("r1", 10)).reply
    assert isinstance(refused, Refused)
    assert refused.code == "not_captured"


def test_cancelling_lets_go_of_the_money_and_takes_the_units_back() -> None:
    desk = standing()
    decision = desk.tell(order.Cancel("customer"))
    assert decision.events == (OrderCancelled("customer", "u1", "c1", NOW),)
    assert sent(decision) == [
        ("stock", "bolt", stock.TakeBack("o", 3)),
        ("stock", "cog", stock.TakeBack("o", 1)),
        ("payment", "o", Close("customer")),
    ]
    assert desk.state.payment_status == "none"
    assert desk.tell(order.PaymentClosed()) == Decision()


@pytest.mark.parametrize("make", [standing, packed])
def test_an_order_whose_money_is_no_longer_set_aside_is_cancelled(make: object) -> None:
    assert callable(make)
    desk: Desk = make()
    decision = desk.tell(order.PaymentClosed())
    assert decision.events == (OrderCancelled("payment_closed", "u1", "c1", NOW),)
    assert [(kind, message) for kind, _, message in sent(decision)] == [
        ("stock", stock.TakeBack("o", 3)),
        ("stock", stock.TakeBack("o", 1)),
    ]


def test_money_that_came_although_it_was_cancelled_goes_back() -> None:
    desk = standing()
    desk.tell(order.Cancel("staff"))
    decision = desk.tell(order.PaymentCaptured(TOTAL))
    assert sent(decision) == [("payment", "o", Refund(order.AUTOMATIC_REFUND, TOTAL, must=True))]


@pytest.mark.parametrize("desk", [Desk(), reserved("cash_on_delivery")])
def test_what_is_set_aside_for_no_order_is_let_go_of(desk: Desk) -> None:
    desk.tell(order.Cancel("staff"))
    assert sent(desk.tell(order.PaymentAuthorised(TOTAL))) == [("payment", "o", Close("no_order"))]


def test_an_order_that_is_being_closed_does_not_count_on_what_was_set_aside() -> None:
    desk = reserved()
    desk.tell(order.PaymentDeadline())
    assert desk.tell(order.PaymentAuthorised(TOTAL)) == Decision()
    assert desk.tell(order.PaymentClosed()).events == (OrderCancelled("deadline", "u1", "c1", NOW),)


def test_another_amount_than_the_orders_is_let_go_of() -> None:
    desk = reserved()
    assert sent(desk.tell(order.PaymentAuthorised(TOTAL - 1))) == [("payment", "o", Close("wrong_amount"))]


# Refunds that fail after they were taken


def test_a_refund_that_fell_is_the_staffs_to_make_again() -> None:
    session = paid()
    session.tell(Refund("r1", 200))
    session.tell(RefundAnswered("r1", 1, ok=True))
    assert session.tell(NoteRefundFailed("r1", 2, "lost")) == Decision(), "of no try that was taken"
    fell = RefundFailed("r1", "lost", final=True, reverses=True)
    assert session.tell(NoteRefundFailed("r1", 1, "lost")).events == (fell,)
    assert session.tell(NoteRefundFailed("r1", 1, "lost")) == Decision()
    assert session.state.refundable == 500


def test_one_that_must_be_is_asked_for_again() -> None:
    session = paid()
    session.tell(Refund("r1", 500, must=True))
    session.tell(RefundAnswered("r1", 1, ok=True))
    decision = session.tell(NoteRefundFailed("r1", 1, "lost"))
    assert decision.events == (RefundFailed("r1", "lost", final=False, reverses=True),)
    assert decision.timers == (SetTimer("refunds", NOW + FIRST_RETRY, RetryRefunds()),)
    assert not payment.settled(session.state)
    assert started(session.tell(RetryRefunds())) == [RefundIntent("o", "pi", "r1", 500, 2, NOW)]
    session.tell(RefundAnswered("r1", 2, ok=True))
    later = session.tell(NoteRefundFailed("r1", 2, "lost")).timers
    assert later == (SetTimer("refunds", NOW + 2 * FIRST_RETRY, RetryRefunds()),), "one that falls again waits longer"


def test_the_news_may_come_before_the_answer() -> None:
    session = paid()
    session.tell(Refund("r1", 200))
    assert session.tell(NoteRefundFailed("r1", 1, "lost")).events == (RefundFailed("r1", "lost", final=True),)
    assert session.tell(RefundAnswered("r1", 1, ok=True)) == Decision()


def test_the_order_counts_the_money_again() -> None:
    desk = confirmed()
    desk.tell(order.Refund("r1", 100))
    desk.tell(order.Refund("r2", 50))
    for refund_id, amount in (("r1", 100), ("r2", 50)):
        desk.tell(order.PaymentRefunded(refund_id, amount))
    [event] = desk.tell(order.RefundFailed("r1")).events
    assert event == Failed("r1", NOW, "partially_refunded", TOTAL - 50)
    assert (desk.state.refunded, desk.state.refundable, desk.state.payment_status) == (
        50,
        TOTAL - 50,
        "partially_refunded",
    )
    [event] = desk.tell(order.RefundFailed("r2")).events
    assert isinstance(event, Failed)
    assert listed(event).payment_status == desk.state.payment_status == "paid"
    assert desk.tell(order.RefundFailed("r2")) == Decision()


def test_transactions_tell_what_moved() -> None:
    events: tuple[Told, ...] = (
        payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1", "manual"),
        PaymentAuthorised(500, "EUR", "visa", "4242"),
        PaymentCaptured(500, "EUR"),
        payment.RefundStarted("r1", 200, False, 1),
        payment.PaymentRefunded("r1", 200, "EUR"),
        RefundFailed("r1", "lost", final=True, reverses=True),
    )
    kept, rows = Kept(), []
    for number, event in enumerate(events):
        kept, row = followed(kept, Happened(number, "payment", "o", number + 1, 0, NOW, b""), event)
        rows += [(row.kind, row.amount, row.detail)] if row is not None else []
    assert rows == [
        ("authorisation", 500, "visa 4242"),
        ("capture", 500, ""),
        ("refund", 200, "r1"),
        ("refund_reversed", 200, "r1 lost"),
    ]
