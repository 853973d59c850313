"""An order by example, alone and with its stock, its cart and its payment session around it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import cart, order, payment, stock
from actors.decision import ClearTimer, Context, Decision, Done, Message, Refused, SetTimer
from actors.order import (
    Adopt,
    AskFate,
    Cancel,
    Deliver,
    GiveBack,
    Held,
    NextAction,
    OrderAdopted,
    OrderCancelled,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderRejected,
    OrderReserved,
    OrderState,
    OrderView,
    Pack,
    PayAgain,
    PaymentActionRequired,
    PaymentCaptured,
    PaymentChanged,
    PaymentClosed,
    PaymentDeadline,
    PaymentFailed,
    PaymentProcessing,
    PaymentRefunded,
    Place,
    Refund,
    RefundFailed,
    RefundRow,
    Ship,
    Short,
    Step,
    Waiting,
    apply,
    initial,
    settled,
    view,
)
from actors.order_decisions import decide
from actors.pricing import Line, Shipping, Terms, totals
from tests.unit.shop_world import World

NOW = 1_000
DEADLINE = 60_000
TERMS = Terms("EUR", 2000, True, Shipping("standard", "Standard", 490))
LINES = (
    Line("l1", "bolt", "Bolt", 2, 100),
    Line("l2", "cog", "Cog", 1, 300),
    Line("l3", "bolt", "Bolt", 1, 90, agreed=True),
)
TOTAL = 200 + 300 + 90 + 490


def place(method: str = "card", lines: tuple[Line, ...] = LINES, terms: Terms = TERMS) -> Place:
    return Place("u1", "u1", "c1", lines, terms, totals(lines, terms), method, "pm_1", DEADLINE)


class Desk:
    """An order that has heard `commands`."""

    def __init__(self, *commands: order.COMMANDS) -> None:
        self.state: OrderState = initial("o")
        self.now = NOW
        for command in commands:
            self.tell(command)

    def tell(self, command: order.COMMANDS) -> Decision:
        decision = decide(self.state, command, Context(self.now, "o", "c"))
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        return decision


def sent(decision: Decision) -> list[tuple[str, str, Message]]:
    return [(send.kind, send.id, send.message) for send in decision.sends]


def to_stock(message: Message) -> list[tuple[str, str, Message]]:
    return [("stock", "bolt", message), ("stock", "cog", message)]


def code(decision: Decision) -> str:
    assert isinstance(decision.reply, Refused)
    assert (decision.events, decision.sends) == ((), ())
    return decision.reply.code


def reserved(method: str = "card") -> Desk:
    return Desk(place(method), Held("bolt"), Held("cog"))


def confirmed() -> Desk:
    desk = reserved()
    desk.tell(PaymentCaptured(TOTAL))
    return desk


def cancelled_by_customer() -> Desk:
    desk = reserved()
    desk.tell(Cancel("customer"))
    desk.tell(PaymentClosed())
    return desk


def test_it_sums_its_lines_per_sku_and_asks_for_all_at_once() -> None:
    desk = Desk()
    assert sent(desk.tell(place())) == [
        ("stock", "bolt", stock.Hold("o", 3)),
        ("stock", "cog", stock.Hold("o", 1)),
    ]
    assert desk.tell(place()) == Decision()
    assert not settled(desk.state)


def test_all_held_is_the_decision() -> None:
    desk = Desk(place())
    assert desk.tell(Held("bolt")).sends == ()
    assert desk.tell(Held("bolt")) == Decision()
    decision = desk.tell(Held("cog"))
    assert decision.events[1:] == (
        OrderReserved(NOW),
        OrderPlaced(TOTAL, "EUR", "card", "pm_1", NOW + DEADLINE, "u1", "c1", awaits_payment=True),
    )
    assert decision.timers == (SetTimer("deadline", NOW + DEADLINE, PaymentDeadline()),)
    assert decision.sends == ()
    assert view(desk.state).payment_status == "pending"
    assert not settled(desk.state)


def test_the_first_short_lets_everything_go_and_the_last_answer_rejects() -> None:
    desk = Desk(place())
    assert sent(desk.tell(Short("cog", 0))) == [("stock", "bolt", stock.Release("o"))]
    decision = desk.tell(Held("bolt"))
    assert decision.events[1:] == (OrderRejected(("cog",), "u1", "c1", NOW),)
    assert sent(decision) == [("cart", "u1", cart.Returned("o"))]
    assert view(desk.state).out_of_stock == ("cog",)
    assert settled(desk.state)


def test_a_waiting_item_has_answered() -> None:
    desk = Desk(place(), Waiting("bolt"))
    decision = desk.tell(Short("cog", 0))
    assert sent(decision) == [("stock", "bolt", stock.Release("o")), ("cart", "u1", cart.Returned("o"))]


def test_all_that_are_short_are_named() -> None:
    desk = Desk(place(), Short("cog", 0))
    assert desk.tell(Short("bolt", 1)).events[-1] == OrderRejected(("bolt", "cog"), "u1", "c1", NOW)


def test_an_undecided_order_gives_back_and_waits_for_the_next_round() -> None:
    desk = Desk(place(), Held("bolt"))
    assert sent(desk.tell(GiveBack("bolt", 1))) == [("stock", "bolt", stock.Requeue("o", 2))]
    assert desk.tell(GiveBack("bolt", 1)) == Decision()
    assert desk.tell(Held("bolt", 1)) == Decision(), "the hold that it gave back"
    desk.tell(Held("cog"))
    assert view(desk.state).status == "placed"
    desk.tell(Held("bolt", 2))
    assert view(desk.state).status == "reserved"


def test_a_stock_item_that_asked_too_early_is_told_once_it_is_decided() -> None:
    desk = Desk(place(), Held("bolt"))
    assert desk.tell(AskFate("bolt")).sends == ()
    assert desk.tell(AskFate("bolt")) == Decision()
    assert sent(desk.tell(Held("cog"))) == [("stock", "bolt", stock.Reserve("o"))]


@pytest.mark.parametrize("question", [AskFate("bolt"), GiveBack("bolt", 1)])
def test_who_asks_about_its_fate_is_told(question: order.COMMANDS) -> None:
    assert sent(reserved().tell(question)) == [("stock", "bolt", stock.Reserve("o"))]
    for desk in (Desk(), Desk(place(), Held("bolt"), Short("cog", 0)), confirmed(), cancelled_by_customer()):
        assert sent(desk.tell(question)) == [("stock", "bolt", stock.Release("o"))]


def test_a_captured_payment_confirms() -> None:
    desk = reserved()
    decision = desk.tell(PaymentCaptured(TOTAL))
    assert decision.events == (OrderPaid(TOTAL, NOW), OrderConfirmed(TOTAL, TOTAL, "EUR", "u1", "c1", NOW))
    assert sent(decision) == [*to_stock(stock.Sell("o")), ("cart", "u1", cart.Confirmed("o"))]
    assert decision.timers == (ClearTimer("deadline"),)
    for late in (PaymentCaptured(TOTAL), PaymentFailed("x"), PaymentClosed(), PaymentDeadline(), PaymentProcessing()):
        assert desk.tell(late) == Decision()
    assert view(desk.state).history == (
        Step(NOW, "placed"),
        Step(NOW, "reserved"),
        Step(NOW, "paid"),
        Step(NOW, "confirmed"),
    )


def test_the_shopper_is_sent_to_the_bank_and_comes_back() -> None:
    desk = reserved()
    desk.tell(PaymentActionRequired("https://bank.example", "redirect"))
    assert view(desk.state).next_action == NextAction("redirect", "https://bank.example")
    assert settled(desk.state)
    assert desk.tell(PaymentActionRequired("https://bank.example", "redirect")) == Decision()
    desk.tell(PaymentProcessing())
    assert (view(desk.state).next_action, view(desk.state).payment_status) == (None, "processing")
    assert not settled(desk.state)


def test_after_a_failure_another_method_may_be_tried_until_the_deadline() -> None:
    desk = reserved()
    assert desk.tell(PaymentFailed("declined")).events == (PaymentChanged("failed", NOW, "declined"),)
    assert settled(desk.state)
    decision = desk.tell(PayAgain("wallet", "pm_2"))
    assert sent(decision) == [("payment", "o", payment.TryMethod("wallet", "pm_2", 1))]
    assert isinstance(decision.reply, OrderView)
    assert (decision.reply.payment_status, decision.reply.method) == ("pending", "wallet")
    assert code(desk.tell(PayAgain("cash_on_delivery", ""))) == "method_not_allowed"
    desk.now = NOW + DEADLINE
    assert code(desk.tell(PayAgain("card", "pm_3"))) == "not_awaiting_payment"


def test_methods_are_not_tried_without_end() -> None:
    desk = reserved()
    for _ in range(order.MAX_TRIES):
        desk.tell(PayAgain("card", "pm_2"))
    assert code(desk.tell(PayAgain("card", "pm_2"))) == "too_many_attempts"


def test_at_the_deadline_the_session_decides() -> None:
    desk = reserved()
    desk.tell(PaymentFailed("declined"))
    decision = desk.tell(PaymentDeadline())
    assert sent(decision) == [("payment", "o", payment.Close("deadline"))]
    assert desk.tell(PaymentDeadline()) == Decision()
    assert not settled(desk.state)
    assert code(desk.tell(PayAgain("card", "pm_2"))) == "not_awaiting_payment"
    decision = desk.tell(PaymentClosed())
    assert decision.events == (OrderCancelled("deadline", "u1", "c1", NOW),)
    assert sent(decision) == [*to_stock(stock.Release("o")), ("cart", "u1", cart.Returned("o"))]
    assert view(desk.state).payment_status == "none"
    assert desk.tell(PaymentClosed()) == Decision()


def test_a_capture_that_crosses_the_deadline_confirms() -> None:
    desk = reserved()
    desk.tell(PaymentDeadline())
    desk.tell(PaymentCaptured(TOTAL))
    assert (desk.state.status, view(desk.state).closing) == ("confirmed", False)


@pytest.mark.parametrize("deadline_first", [False, True])
def test_a_capture_that_crosses_a_cancel_goes_back(deadline_first: bool) -> None:
    desk = reserved()
    if deadline_first:
        desk.tell(PaymentDeadline())
    decision = desk.tell(Cancel("customer"))
    assert sent(decision) == ([] if deadline_first else [("payment", "o", payment.Close("customer"))])
    decision = desk.tell(PaymentCaptured(TOTAL))
    assert sent(decision) == [
        *to_stock(stock.Release("o")),
        ("cart", "u1", cart.Returned("o")),
        ("payment", "o", payment.Refund("order-ended", TOTAL, must=True)),
    ]
    assert (desk.state.status, desk.state.cancel_reason) == ("cancelled", "customer")
    desk.tell(RefundFailed("order-ended"))
    desk.tell(PaymentRefunded("order-ended", TOTAL))
    assert view(desk.state).payment_status == "refunded"
    assert desk.tell(PaymentRefunded("order-ended", TOTAL)) == Decision()


def test_a_capture_of_another_amount_does_not_stand() -> None:
    desk = reserved()
    decision = desk.tell(PaymentCaptured(TOTAL - 1))
    assert desk.state.cancel_reason == "wrong_amount"
    assert sent(decision)[-1] == ("payment", "o", payment.Refund("order-ended", TOTAL - 1, must=True))


def test_money_for_an_order_that_ended_or_never_was_goes_back() -> None:
    desk = cancelled_by_customer()
    refund = ("payment", "o", payment.Refund("order-ended", TOTAL, must=True))
    assert sent(desk.tell(PaymentCaptured(TOTAL))) == [refund]
    assert desk.tell(PaymentCaptured(TOTAL)) == Decision()
    assert sent(Desk().tell(PaymentCaptured(TOTAL))) == [refund]


def test_a_cancel_before_it_is_reserved_needs_nobody() -> None:
    desk = Desk(place(), Held("bolt"))
    decision = desk.tell(Cancel("customer"))
    assert sent(decision) == [*to_stock(stock.Release("o")), ("cart", "u1", cart.Returned("o"))]
    assert desk.tell(Held("cog")) == Decision()
    assert desk.tell(Short("cog", 0)) == Decision()
    assert desk.tell(Cancel("customer")).events == ()


def test_a_confirmed_order_is_cancelled_until_it_is_packed() -> None:
    desk = confirmed()
    decision = desk.tell(Cancel("staff"))
    assert sent(decision) == [
        ("stock", "bolt", stock.TakeBack("o", 3)),
        ("stock", "cog", stock.TakeBack("o", 1)),
        ("payment", "o", payment.Refund("order-ended", TOTAL, must=True)),
    ]
    assert desk.tell(Cancel("staff")).sends == ()
    desk = confirmed()
    desk.tell(Pack())
    assert code(desk.tell(Cancel("customer"))) == "too_late"


def test_a_staff_refund_that_fails_after_a_cancel_is_made_up_for() -> None:
    desk = confirmed()
    desk.tell(Refund("r1", 100))
    decision = desk.tell(Cancel("customer"))
    assert sent(decision)[-1] == ("payment", "o", payment.Refund("order-ended", TOTAL - 100, must=True))
    decision = desk.tell(RefundFailed("r1"))
    assert sent(decision) == [("payment", "o", payment.Refund("order-ended-2", 100, must=True))]


def test_it_is_packed_shipped_and_delivered_in_this_order() -> None:
    desk = confirmed()
    assert code(desk.tell(Ship("dhl", "1"))) == "wrong_status"
    for command in (Pack(), Ship("dhl", "1"), Deliver()):
        desk.tell(command)
        assert desk.tell(command).events == ()
    (shipment,) = view(desk.state).shipments
    assert (shipment.carrier, shipment.tracking, shipment.lines) == ("dhl", "1", {"bolt": 3, "cog": 1})
    assert [step.step for step in shipment.steps] == ["handed_over", "delivered"]
    assert [step.step for step in desk.state.history[-4:]] == ["packed", "shipment_added", "shipped", "delivered"]


def test_cash_is_due_at_the_door() -> None:
    desk = reserved("cash_on_delivery")
    assert (desk.state.status, desk.state.payment_status) == ("confirmed", "cash_due")
    desk.tell(Pack())
    desk.tell(Ship("dhl", "1"))
    assert sent(desk.tell(Deliver())) == [("payment", "o", payment.RecordCash(TOTAL, "EUR", desk.state.owner))]
    assert (desk.state.payment_status, desk.state.paid) == ("paid", TOTAL)


def test_a_cancelled_cash_order_gives_its_units_back_and_no_money() -> None:
    desk = reserved("cash_on_delivery")
    assert [kind for kind, _, _ in sent(desk.tell(Cancel("customer")))] == ["stock", "stock"]
    assert desk.state.payment_status == "none"


def test_an_order_for_nothing_is_confirmed_at_once() -> None:
    free = (Line("l1", "bolt", "Bolt", 1, 0, agreed=True),)
    desk = Desk(place(lines=free, terms=Terms("EUR", 2000, True, Shipping("pickup", "Pickup", 0))))
    assert desk.tell(Held("bolt")).events[-1] == OrderConfirmed(0, 0, "EUR", "u1", "c1", NOW)
    assert desk.state.payment_status == "none"


def test_an_order_without_lines_does_not_stand() -> None:
    assert Desk().tell(place(lines=())).events[-1] == OrderRejected((), "u1", "c1", NOW)


def test_staff_refund_an_amount_or_what_lines_cost() -> None:
    desk = confirmed()
    assert sent(desk.tell(Refund("r1", lines={"bolt": 2}))) == [
        ("payment", "o", payment.Refund("r1", 200)),
        ("stock", "bolt", stock.TakeBack("o", 2)),
    ]
    assert desk.tell(Refund("r1", lines={"bolt": 2})).events == ()
    assert sent(desk.tell(Refund("r2", lines={"bolt": 1})))[0] == ("payment", "o", payment.Refund("r2", 90))
    assert code(desk.tell(Refund("r3", lines={"bolt": 1}))) == "bad_refund_lines"
    assert code(desk.tell(Refund("r3", lines={"nut": 1}))) == "bad_refund_lines"
    assert code(desk.tell(Refund("r3", TOTAL - 289))) == "refund_too_large"
    assert code(desk.tell(Refund("r3", 0))) == "bad_amount"
    assert code(desk.tell(Refund("order-ended", 1))) == "bad_refund_id"
    decision = desk.tell(PaymentRefunded("r1", 200))
    assert decision.events == (OrderRefunded("r1", 200, TOTAL - 200, "EUR", "u1", "c1", NOW),)
    assert desk.state.payment_status == "partially_refunded"
    desk.tell(RefundFailed("r2"))
    assert view(desk.state).refunds == (RefundRow("r1", 200, "refunded"), RefundRow("r2", 90, "failed"))
    assert sent(desk.tell(Refund("r3"))) == [("payment", "o", payment.Refund("r3", TOTAL - 200))]


def test_units_can_be_paid_back_without_being_put_back() -> None:
    desk = confirmed()
    decision = desk.tell(Refund("r1", lines={"bolt": 1}, discarded={"bolt": 1, "cog": 1}, reason="two broke"))
    assert sent(decision) == [("payment", "o", payment.Refund("r1", 500)), ("stock", "bolt", stock.TakeBack("o", 1))]
    assert code(desk.tell(Refund("r2", lines={"bolt": 1}, discarded={"bolt": 1}))) == "bad_refund_lines"
    assert code(desk.tell(Refund("r2", discarded={"cog": 1}))) == "bad_refund_lines"
    assert code(desk.tell(Refund("r2", lines={"bolt": -1}, discarded={"bolt": 2}))) == "bad_refund_lines"
    assert sent(desk.tell(Refund("r2", discarded={"bolt": 1}))) == [("payment", "o", payment.Refund("r2", 90))]
    give_back = sent(desk.tell(Cancel("staff")))
    assert give_back == [("payment", "o", payment.Refund("order-ended", TOTAL - 590, must=True))]


@given(st.lists(st.tuples(st.integers(1, TOTAL), st.sampled_from(["asked", "refunded", "failed"])), max_size=12))
def test_refunds_never_come_to_more_than_was_captured(wanted: list[tuple[int, str]]) -> None:
    desk = confirmed()
    for number, (amount, outcome) in enumerate(wanted):
        refund_id = f"r{number}"
        if isinstance(desk.tell(Refund(refund_id, amount)).reply, Refused):
            continue
        if outcome != "asked":
            desk.tell(PaymentRefunded(refund_id, amount) if outcome == "refunded" else RefundFailed(refund_id))
        assert sum(row.amount for row in desk.state.refunds.values() if row.status != "failed") <= TOTAL
    assert desk.state.refunded <= desk.state.paid == TOTAL


def test_a_refund_of_lines_includes_their_tax() -> None:
    desk = Desk(place(terms=Terms("EUR", 1950, False, Shipping("pickup", "Pickup", 0))), Held("bolt"), Held("cog"))
    desk.tell(PaymentCaptured(desk.state.total))
    assert sent(desk.tell(Refund("r1", lines={"bolt": 3})))[0] == ("payment", "o", payment.Refund("r1", 347))


@pytest.mark.parametrize(
    "command", [Cancel("customer"), PayAgain("card", "x"), Pack(), Refund("r1"), Adopt("user:ada")]
)
def test_there_is_no_such_order(command: order.COMMANDS) -> None:
    assert code(Desk().tell(command)) == "no_such_order"


def test_a_guests_order_is_adopted_once_by_an_account_and_goes_on() -> None:
    desk = Desk(msgspec.structs.replace(place(), owner="guest:g1"), Held("bolt"))
    assert desk.tell(Adopt("user:ada")).events == (OrderAdopted("user:ada", "guest:g1", "placed", NOW, "c1"),)
    assert (view(desk.state).owner, view(desk.state).guest) == ("user:ada", "guest:g1")
    again = desk.tell(Adopt("user:ada"))
    assert (again.reply, again.events) == (view(desk.state), ())
    assert code(desk.tell(Adopt("user:eve"))) == "not_a_guests"
    placed = desk.tell(Held("cog")).events[-1]
    assert isinstance(placed, OrderPlaced)
    assert placed.owner == "user:ada"
    confirmed = desk.tell(PaymentCaptured(TOTAL)).events[-1]
    assert isinstance(confirmed, OrderConfirmed)
    assert confirmed.owner == "user:ada"


@pytest.mark.parametrize(
    "command", [Waiting("bolt"), Short("bolt", 0), PaymentFailed("x"), PaymentClosed(), PaymentRefunded("r", 1)]
)
def test_an_order_that_never_was_ignores_what_it_is_told(command: order.COMMANDS) -> None:
    assert Desk().tell(command) == Decision(reply=Done())


def test_a_hold_for_an_order_that_never_was_is_let_go() -> None:
    assert sent(Desk().tell(Held("bolt"))) == [("stock", "bolt", stock.Release("o"))]


@pytest.mark.parametrize("first", ["older", "younger"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_of_two_orders_for_the_last_units_in_opposite_order_exactly_one_stands(first: str, newest_first: bool) -> None:
    world = World()
    for sku in ("bolt", "cog"):
        world.ask("stock", sku, stock.Receive(1))
    lines = (Line("l1", "bolt", "Bolt", 1, 100), Line("l2", "cog", "Cog", 1, 100))
    orders = {"older": "a", "younger": "b"}
    for name in orders:
        world.ask("order", orders[name], place("cash_on_delivery", lines if name == first else lines[::-1]))
    world.deliver((("order", "a"), ("stock", "bolt" if first == "older" else "cog")))
    world.deliver((("order", "b"), ("stock", "cog" if first == "older" else "bolt")))
    world.settle(lambda n: n - 1 if newest_first else 0)
    assert sorted(world.state("order", entity).status for entity in orders.values()) == ["confirmed", "rejected"]
    for sku in ("bolt", "cog"):
        shelf: stock.StockState = world.state("stock", sku)
        assert (shelf.on_hand, shelf.sold, shelf.held, shelf.waiting) == (0, 1, 0, {})


def test_nobody_is_refused_for_a_hold_of_an_order_that_could_not_be_had_in_full() -> None:
    world = World()
    world.ask("stock", "bolt", stock.Receive(1))
    bolt, cog = Line("l1", "bolt", "Bolt", 1, 100), Line("l2", "cog", "Cog", 1, 100)
    world.ask("order", "a", place("cash_on_delivery", (bolt, cog)))
    world.ask("order", "b", place("cash_on_delivery", (bolt,)))
    world.deliver((("order", "a"), ("stock", "bolt")))
    world.deliver((("order", "b"), ("stock", "bolt")))
    world.settle(lambda n: 0)
    assert world.state("order", "a").status == "rejected"
    assert world.state("order", "b").status == "confirmed"


def test_an_order_of_675_lines_goes_through() -> None:
    world = World()
    lines = tuple(Line(f"l{n}", f"s{n % 540}", "Thing", 1, 10) for n in range(675))
    for number in range(540):
        world.ask("stock", f"s{number}", stock.Receive(2))
    world.ask("order", "a", place("card", lines))
    world.run(lambda n: 0, 1_620)
    assert world.state("order", "a").status == "reserved"
    world.settle(lambda n: 0)
    assert sum(world.state("stock", f"s{number}").sold for number in range(540)) == 675
    assert world.state("order", "a").status == "confirmed"
