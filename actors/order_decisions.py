"""What an order decides. What comes late, twice or after the end changes nothing, and is answered all the same."""

from typing import TypeAlias

from actors import cart, payment, stock
from actors.decision import Context, Decision, Refused, refuse
from actors.draft import Draft
from actors.order import (
    AUTOMATIC_REFUND,
    CASH_ON_DELIVERY,
    COMMANDS,
    EVENTS,
    MAX_REFUNDS,
    MAX_TRIES,
    AskFate,
    Cancel,
    ClosingStarted,
    Deliver,
    FateOwed,
    GiveBack,
    Held,
    ItemGivenBack,
    ItemHeld,
    ItemShort,
    ItemWaited,
    MethodChosen,
    NextAction,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderOpened,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderRefundFailed,
    OrderRejected,
    OrderReserved,
    OrderShipped,
    OrderState,
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
    RefundRequested,
    Ship,
    Short,
    Waiting,
    apply,
    view,
)

_FromStock: TypeAlias = Held | Short | Waiting | GiveBack | AskFate
_FromPayment: TypeAlias = (
    PaymentProcessing
    | PaymentActionRequired
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | PaymentRefunded
    | RefundFailed
)
_FromPeople: TypeAlias = Cancel | PayAgain | Pack | Ship | Deliver | Refund


class _Draft(Draft[OrderState, EVENTS]):
    def __init__(self, state: OrderState, context: Context) -> None:
        super().__init__(state, apply)
        self.now = context.now


def decide(state: OrderState, command: COMMANDS, context: Context) -> Decision:
    draft = _Draft(state, context)
    match command:
        case Place():
            _open(draft, command)
        case GiveBack() | AskFate():
            _tell_fate(draft, command)
        case Held() | Short() | Waiting():
            _hear_stock(draft, command)
        case PaymentDeadline():
            if state.status == "reserved" and not state.closing:
                _close(draft, "deadline")
        case Cancel() | PayAgain() | Pack() | Ship() | Deliver() | Refund():
            return _people(draft, command)
        case _:
            _hear_payment(draft, command)
    return draft.decision()


def _open(draft: _Draft, place: Place) -> None:
    if draft.state.status != "none":
        return
    draft.add(
        OrderOpened(
            cart_id=place.cart_id,
            owner=place.owner,
            contact_id=place.contact_id,
            lines=place.lines,
            terms=place.terms,
            totals=place.totals,
            method=place.method,
            payment_reference=place.payment_reference,
            deadline=place.deadline,
            at=draft.now,
        )
    )
    for sku, item in draft.state.items.items():
        draft.send("stock", sku, stock.Hold(draft.state.id, item.quantity))
    if not draft.state.items:
        _reject(draft)


def _hear_stock(draft: _Draft, answer: Held | Short | Waiting) -> None:
    state, sku = draft.state, answer.sku
    item = state.items.get(sku)
    if item is None:
        if isinstance(answer, Held):
            draft.send("stock", sku, stock.Release(state.id))
        return
    if state.status != "placed" or item.stage not in ("asked", "waiting"):
        return
    match answer:
        case Held(round=round_):
            if round_ != item.round:
                return
            draft.add(ItemHeld(sku))
        case Waiting():
            if item.stage == "waiting":
                return
            draft.add(ItemWaited(sku))
        case Short(left=left):
            draft.add(ItemShort(sku, left))
            if not state.short:
                _to_all_stock(draft, stock.Release(state.id))
    if draft.state.short:
        if draft.state.unanswered == 0:
            _reject(draft)
    elif draft.state.missing == 0:
        _reserve(draft)


def _to_all_stock(draft: _Draft, message: stock.Release | stock.Sell) -> None:
    """An item that is short knows nothing of the order any more."""
    for sku, item in draft.state.items.items():
        if item.stage != "short":
            draft.send("stock", sku, message)


def _reject(draft: _Draft) -> None:
    state = draft.state
    draft.add(OrderRejected(tuple(sorted(state.short)), state.owner, state.contact_id, draft.now))
    draft.send("cart", state.cart_id, cart.Returned(state.id))


def _reserve(draft: _Draft) -> None:
    owed = draft.state.fates
    draft.add(OrderReserved(draft.now))
    state = draft.state
    assert state.deadline_at is not None
    draft.add(
        OrderPlaced(
            amount=state.total,
            currency=state.currency,
            method=state.method,
            reference=state.reference,
            deadline_at=state.deadline_at,
            owner=state.owner,
            contact_id=state.contact_id,
            awaits_payment=state.awaits_payment,
        )
    )
    if not state.awaits_payment:
        _confirm(draft)
        return
    draft.set_timer("deadline", state.deadline_at, PaymentDeadline())
    for sku in owed:
        draft.send("stock", sku, stock.Reserve(state.id))


def _tell_fate(draft: _Draft, question: GiveBack | AskFate) -> None:
    """Says what was decided. Once it is sold or let go, that was said before: what is left there is a mistake."""
    state, sku = draft.state, question.sku
    item = state.items.get(sku)
    if state.status == "reserved" and item is not None:
        draft.send("stock", sku, stock.Reserve(state.id))
    elif state.status != "placed" or state.short or item is None:
        draft.send("stock", sku, stock.Release(state.id))
    elif isinstance(question, AskFate):
        if sku not in state.fates:
            draft.add(FateOwed(sku))
    elif item.stage == "held" and item.round == question.round:
        draft.add(ItemGivenBack(sku, item.round + 1))
        draft.send("stock", sku, stock.Requeue(state.id, item.round + 1))


def _confirm(draft: _Draft) -> None:
    state = draft.state
    draft.add(OrderConfirmed(state.total, state.paid, state.currency, state.owner, state.contact_id, draft.now))
    _to_all_stock(draft, stock.Sell(state.id))
    draft.send("cart", state.cart_id, cart.Confirmed(state.id))
    draft.clear_timer("deadline")


def _cancel(draft: _Draft, reason: str) -> None:
    """Before it is confirmed: everything is let go, the lines go back to the cart, and so does money that came."""
    state = draft.state
    draft.add(OrderCancelled(reason, state.owner, state.contact_id, draft.now))
    if not state.short:
        _to_all_stock(draft, stock.Release(state.id))
    draft.send("cart", state.cart_id, cart.Returned(state.id))
    if state.status == "reserved":
        draft.clear_timer("deadline")
    _give_all_back(draft, {})


def _give_all_back(draft: _Draft, lines: dict[str, int]) -> None:
    """Of an order that does not stand: what was paid and is not on its way back yet."""
    state = draft.state
    for sku, units in lines.items():
        draft.send("stock", sku, stock.TakeBack(state.id, units))
    amount = state.refundable
    if amount <= 0:
        return
    earlier = sum(refund_id.startswith(AUTOMATIC_REFUND) for refund_id in state.refunds)
    refund_id = f"{AUTOMATIC_REFUND}-{earlier + 1}" if earlier else AUTOMATIC_REFUND
    draft.add(RefundRequested(refund_id, amount, lines, state.cancel_reason, draft.now))
    draft.send("payment", state.id, payment.Refund(refund_id, amount, must=True))


def _close(draft: _Draft, reason: str) -> None:
    if not draft.state.closing:
        draft.send("payment", draft.state.id, payment.Close(reason))
    draft.add(ClosingStarted(reason, draft.now))


def _hear_payment(draft: _Draft, news: _FromPayment) -> None:
    state = draft.state
    match news:
        case PaymentCaptured(amount):
            _captured(draft, amount)
        case PaymentRefunded() | RefundFailed():
            _hear_refund(draft, news)
        case _ if state.status != "reserved":
            return
        case PaymentClosed():
            _cancel(draft, state.closing or "payment_closed")
        case PaymentFailed(code):
            if state.payment_status != "failed" or state.failure != code:
                draft.add(PaymentChanged("failed", draft.now, code))
        case PaymentProcessing():
            if state.payment_status != "processing":
                draft.add(PaymentChanged("processing", draft.now))
        case PaymentActionRequired(url, kind):
            action = NextAction(kind, url)
            if state.next_action != action and not state.closing:
                draft.add(PaymentChanged("action_required", draft.now, next_action=action))


def _captured(draft: _Draft, amount: int) -> None:
    state = draft.state
    if state.status == "none":
        draft.send("payment", state.id, payment.Refund(AUTOMATIC_REFUND, amount, must=True))
    elif state.status in ("rejected", "cancelled") and not state.paid:
        draft.add(OrderPaid(amount, draft.now))
        _give_all_back(draft, {})
    elif state.status == "reserved":
        draft.add(OrderPaid(amount, draft.now))
        if amount != state.total:
            _cancel(draft, "wrong_amount")
        elif state.closing in ("", "deadline"):
            _confirm(draft)
        else:
            _cancel(draft, state.closing)


def _hear_refund(draft: _Draft, news: PaymentRefunded | RefundFailed) -> None:
    state = draft.state
    row = state.refunds.get(news.refund_id)
    if row is not None and row.status == "refunded":
        return
    if isinstance(news, PaymentRefunded):
        if state.status == "none":
            return
        left = state.paid - state.refunded - news.amount
        event = OrderRefunded(
            news.refund_id, news.amount, left, state.currency, state.owner, state.contact_id, draft.now
        )
        draft.add(event)
    elif row is not None and row.status == "requested" and not row.id.startswith(AUTOMATIC_REFUND):
        draft.add(OrderRefundFailed(row.id, draft.now))
        if state.status == "cancelled":
            _give_all_back(draft, {})


def _people(draft: _Draft, command: _FromPeople) -> Decision:
    """What shoppers and staff ask for: carried out and answered with the order as it is then, or refused."""
    status = draft.state.status
    if status == "none":
        return refuse("no_such_order", "There is no such order.")
    match command:
        case Cancel():
            refused = _cancel_for(draft, command)
        case PayAgain():
            refused = _pay_again(draft, command)
        case Refund():
            refused = _refund(draft, command)
        case _:
            refused = _fulfil(draft, command)
    return draft.decision(refused if refused is not None else view(draft.state))


def _cancel_for(draft: _Draft, command: Cancel) -> Refused | None:
    state = draft.state
    if state.status in ("packed", "shipped", "delivered"):
        return Refused("too_late", "The order is packed already.")
    if state.status == "placed" and not state.short:
        _cancel(draft, command.by)
    elif state.status == "reserved" and state.closing in ("", "deadline"):
        _close(draft, command.by)
    elif state.status == "confirmed":
        draft.add(OrderCancelled(command.by, state.owner, state.contact_id, draft.now))
        units = {sku: item.quantity - item.taken_back for sku, item in state.items.items()}
        _give_all_back(draft, {sku: left for sku, left in units.items() if left})
    return None


def _pay_again(draft: _Draft, command: PayAgain) -> Refused | None:
    state = draft.state
    late = state.deadline_at is None or draft.now >= state.deadline_at
    if state.status != "reserved" or state.closing or late:
        return Refused("not_awaiting_payment", "The order is not waiting for a payment.")
    if command.method == CASH_ON_DELIVERY:
        return Refused(
            "method_not_allowed", "An order that is to be paid now cannot become one to be paid at the door."
        )
    if state.tries >= MAX_TRIES:
        return Refused("too_many_attempts", "Too many payment methods were tried for this order.")
    number = state.tries + 1
    draft.add(MethodChosen(number, command.method, command.reference, draft.now))
    draft.send("payment", state.id, payment.TryMethod(command.method, command.reference, number))
    return None


def _fulfil(draft: _Draft, command: Pack | Ship | Deliver) -> Refused | None:
    state = draft.state
    before, event = _STEPS[type(command)]
    if state.status == event:
        return None
    if state.status != before:
        return Refused("wrong_status", f"The order is {state.status}, not {before}.", {"status": state.status})
    match command:
        case Pack():
            draft.add(OrderPacked(draft.now))
        case Ship(carrier, tracking):
            draft.add(OrderShipped(carrier, tracking, state.owner, state.contact_id, draft.now))
        case Deliver():
            draft.add(OrderDelivered(draft.now))
            if state.payment_status == "cash_due":
                draft.add(OrderPaid(state.total, draft.now))
                draft.send("payment", state.id, payment.RecordCash(state.total, state.currency))
    return None


_STEPS: dict[type[Pack] | type[Ship] | type[Deliver], tuple[str, str]] = {
    Pack: ("confirmed", "packed"),
    Ship: ("packed", "shipped"),
    Deliver: ("shipped", "delivered"),
}


def _refund(draft: _Draft, command: Refund) -> Refused | None:
    state = draft.state
    if command.refund_id in state.refunds:
        return None
    if state.status not in ("confirmed", "packed", "shipped", "delivered"):
        return Refused("wrong_status", f"The order is {state.status}.", {"status": state.status})
    if command.refund_id.startswith(AUTOMATIC_REFUND):
        return Refused("bad_refund_id", "This id is kept for refunds that nobody asks for.")
    if len(state.refunds) >= MAX_REFUNDS:
        return Refused("too_many_refunds", f"An order has at most {MAX_REFUNDS} refunds.")
    for sku, units in command.lines.items():
        item = state.items.get(sku)
        if item is None or not 0 < units <= item.quantity - item.taken_back:
            return Refused("bad_refund_lines", f"So many units of {sku} were not bought, or are back already.")
    amount = command.amount
    if amount is None:
        amount = min(_worth(state, command.lines), state.refundable) if command.lines else state.refundable
    if amount > state.refundable:
        return Refused("refund_too_large", f"{state.refundable} can be refunded.", {"left": state.refundable})
    if amount <= 0:
        return Refused("bad_amount", "There is nothing to refund.")
    draft.add(RefundRequested(command.refund_id, amount, command.lines, command.reason, draft.now))
    draft.send("payment", state.id, payment.Refund(command.refund_id, amount))
    for sku, units in command.lines.items():
        draft.send("stock", sku, stock.TakeBack(state.id, units))
    return None


def _worth(state: OrderState, lines: dict[str, int]) -> int:
    """What so many units cost, tax included: those of the SKU's first lines go back first."""
    goods = 0
    skip = {sku: state.items[sku].taken_back for sku in lines}
    wanted = dict(lines)
    for line in state.lines:
        if line.sku in wanted:
            skipped = min(skip[line.sku], line.quantity)
            taken = min(wanted[line.sku], line.quantity - skipped)
            skip[line.sku] -= skipped
            wanted[line.sku] -= taken
            goods += taken * line.unit_price
    if state.terms is None or state.terms.prices_include_tax:
        return goods
    return goods + (2 * goods * state.terms.tax_rate_bp + 10_000) // 20_000
