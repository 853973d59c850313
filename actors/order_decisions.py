"""What an order decides. What comes late, twice or after the end changes nothing, and is answered all the same."""

from typing import TypeAlias

from actors import payment, stock
from actors.decision import Context, Decision
from actors.order import (
    AUTOMATIC_REFUND,
    COMMANDS,
    AddShipment,
    Adopt,
    AskFate,
    Cancel,
    Deliver,
    FateOwed,
    GiveBack,
    Held,
    ItemGivenBack,
    ItemHeld,
    ItemShort,
    ItemWaited,
    NextAction,
    NoteShipment,
    OrderOpened,
    OrderPaid,
    OrderRefunded,
    OrderRefundFailed,
    OrderState,
    Pack,
    PayAgain,
    PaymentActionRequired,
    PaymentAuthorised,
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
    Ship,
    Short,
    Waiting,
    payment_after_refunds,
)
from actors.order_outcomes import (
    OrderDraft,
    call_off,
    cancel,
    close,
    confirm,
    give_all_back,
    reject,
    reserve,
    to_all_stock,
)
from actors.order_people import serve_people

_FromPayment: TypeAlias = (
    PaymentProcessing
    | PaymentActionRequired
    | PaymentAuthorised
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | PaymentRefunded
    | RefundFailed
)


def decide(state: OrderState, command: COMMANDS, context: Context) -> Decision:
    draft = OrderDraft(state, context)
    match command:
        case Place():
            _open(draft, command)
        case GiveBack() | AskFate():
            _tell_fate(draft, command)
        case Held() | Short() | Waiting():
            _hear_stock(draft, command)
        case PaymentDeadline():
            if state.status == "reserved" and not state.closing:
                close(draft, "deadline")
        case Cancel() | PayAgain() | Refund() | Pack() | Ship() | AddShipment() | NoteShipment() | Deliver() | Adopt():
            return serve_people(draft, command)
        case _:
            _hear_payment(draft, command)
    return draft.decision()


def _open(draft: OrderDraft, place: Place) -> None:
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
            capture_method=place.capture_method,
        )
    )
    for sku, item in draft.state.items.items():
        draft.send("stock", sku, stock.Hold(draft.state.id, item.quantity))
    if not draft.state.items:
        reject(draft)


def _hear_stock(draft: OrderDraft, answer: Held | Short | Waiting) -> None:
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
                to_all_stock(draft, stock.Release(state.id))
    if draft.state.short:
        if draft.state.unanswered == 0:
            reject(draft)
    elif draft.state.missing == 0:
        reserve(draft)


def _tell_fate(draft: OrderDraft, question: GiveBack | AskFate) -> None:
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


def _hear_payment(draft: OrderDraft, news: _FromPayment) -> None:
    state = draft.state
    match news:
        case PaymentCaptured(amount):
            _captured(draft, amount)
        case PaymentRefunded() | RefundFailed():
            _hear_refund(draft, news)
        case PaymentClosed() if state.status in ("confirmed", "packed") and state.payment_status == "authorised":
            # What was set aside is no longer: banks keep it for some days only.
            call_off(draft, "payment_closed")
        case PaymentAuthorised() if state.status in ("none", "rejected", "cancelled"):
            draft.send("payment", state.id, payment.Close("no_order"))
        case _ if state.status != "reserved":
            return
        case PaymentClosed():
            cancel(draft, state.closing or "payment_closed")
        case PaymentAuthorised(amount):
            _authorised(draft, amount)
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


def _authorised(draft: OrderDraft, amount: int) -> None:
    """While the session is being closed it lets go of what was set aside, and says so."""
    if draft.state.closing:
        return
    if amount != draft.state.total:
        close(draft, "wrong_amount")
        return
    draft.add(PaymentChanged("authorised", draft.now))
    confirm(draft)


def _captured(draft: OrderDraft, amount: int) -> None:
    state = draft.state
    if state.status == "none":
        draft.send("payment", state.id, payment.Refund(AUTOMATIC_REFUND, amount, must=True))
    elif state.status in ("rejected", "cancelled") and not state.paid:
        draft.add(OrderPaid(amount, draft.now))
        give_all_back(draft, {})
    elif state.status == "reserved":
        draft.add(OrderPaid(amount, draft.now))
        if amount != state.total:
            cancel(draft, "wrong_amount")
        elif state.closing in ("", "deadline"):
            confirm(draft)
        else:
            cancel(draft, state.closing)
    elif state.awaits_payment and not state.paid:
        draft.add(OrderPaid(amount, draft.now, stood=True))


def _hear_refund(draft: OrderDraft, news: PaymentRefunded | RefundFailed) -> None:
    state = draft.state
    row = state.refunds.get(news.refund_id)
    if isinstance(news, PaymentRefunded):
        if state.status == "none" or (row is not None and row.status == "refunded"):
            return
        left = state.paid - state.refunded - news.amount
        event = OrderRefunded(
            news.refund_id, news.amount, left, state.currency, state.owner, state.contact_id, draft.now
        )
        draft.add(event)
    elif row is not None and row.status != "failed" and not row.id.startswith(AUTOMATIC_REFUND):
        gone = state.refunded - (row.amount if row.status == "refunded" else 0)
        draft.add(OrderRefundFailed(row.id, draft.now, payment_after_refunds(state.paid, gone), state.paid - gone))
        if state.status == "cancelled":
            give_all_back(draft, {})
