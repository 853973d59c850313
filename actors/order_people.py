"""What shoppers and staff ask of an order, and who adopts it: carried out, or refused with a reason."""

from typing import TypeAlias

from msgspec.structs import replace

from actors import payment, stock
from actors.decision import Decision, Refused, refuse
from actors.order import (
    AUTOMATIC_REFUND,
    CASH_ON_DELIVERY,
    MAX_REFUNDS,
    MAX_TRIES,
    Adopt,
    Cancel,
    MethodChosen,
    OrderAdopted,
    OrderState,
    PayAgain,
    Refund,
    RefundRequested,
    view,
)
from actors.order_fulfilment import Fulfilment, end_shipping, fulfil
from actors.order_outcomes import OrderDraft, call_off, cancel, close

FromPeople: TypeAlias = Cancel | PayAgain | Refund | Adopt | Fulfilment

GUEST = "guest:"
"""Before the id of an owner who has no account."""


def serve_people(draft: OrderDraft, command: FromPeople) -> Decision:
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
        case Adopt(owner):
            refused = _adopt(draft, owner)
        case _:
            refused = fulfil(draft, command)
    return draft.decision(refused if refused is not None else view(draft.state))


def _cancel_for(draft: OrderDraft, command: Cancel) -> Refused | None:
    state = draft.state
    if state.status in ("packed", "shipped", "delivered"):
        return Refused("too_late", "The order is packed already.")
    if state.status == "placed" and not state.short:
        cancel(draft, command.by)
    elif state.status == "reserved" and state.closing in ("", "deadline"):
        close(draft, command.by)
    elif state.status == "confirmed":
        call_off(draft, command.by)
        if state.payment_status == "authorised":
            draft.send("payment", state.id, payment.Close(command.by))
    return None


def _pay_again(draft: OrderDraft, command: PayAgain) -> Refused | None:
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


def _refund(draft: OrderDraft, command: Refund) -> Refused | None:
    state = draft.state
    if command.refund_id in state.refunds:
        return None
    if state.status not in ("confirmed", "packed", "shipped", "delivered"):
        return Refused("wrong_status", f"The order is {state.status}.", {"status": state.status})
    if state.payment_status == "authorised":
        return Refused("not_captured", "The money is not captured yet: cancel the order, or pack it first.")
    if command.refund_id.startswith(AUTOMATIC_REFUND):
        return Refused("bad_refund_id", "This id is kept for refunds that nobody asks for.")
    if len(state.refunds) >= MAX_REFUNDS:
        return Refused("too_many_refunds", f"An order has at most {MAX_REFUNDS} refunds.")
    wanted = dict(command.lines)
    for sku, units in command.discarded.items():
        wanted[sku] = wanted.get(sku, 0) + units
    for sku, units in wanted.items():
        item = state.items.get(sku)
        positive = min(command.lines.get(sku, 1), command.discarded.get(sku, 1)) > 0
        if item is None or not positive or units > item.kept:
            return Refused("bad_refund_lines", f"So many units of {sku} were not bought, or are refunded already.")
    shipped = _shipped(state, command, wanted)
    if shipped is None:
        return Refused("bad_refund_lines", "So many of these units have not left, or so many have.")
    amount = command.amount
    if amount is None:
        amount = min(_worth(state, wanted), state.refundable) if wanted else state.refundable
    if amount > state.refundable:
        return Refused("refund_too_large", f"{state.refundable} can be refunded.", {"left": state.refundable})
    if amount <= 0:
        return Refused("bad_amount", "There is nothing to refund.")
    asked = RefundRequested(command.refund_id, amount, command.lines, command.reason, draft.now)
    draft.add(replace(asked, discarded=command.discarded, shipped=shipped))
    draft.send("payment", state.id, payment.Refund(command.refund_id, amount))
    for sku, units in command.lines.items():
        draft.send("stock", sku, stock.TakeBack(state.id, units))
    if wanted:
        end_shipping(draft)
    return None


def _shipped(state: OrderState, command: Refund, wanted: dict[str, int]) -> dict[str, int] | None:
    """Units that are refunded and had left, by SKU. None: what the command says of that cannot be.

    If it says nothing: what goes back on the shelf had not left, and nobody pays for what lies there broken.
    """
    if command.shipped.keys() - wanted.keys():
        return None
    to_ship = state.to_ship
    shipped: dict[str, int] = {}
    for sku, units in wanted.items():
        waiting = to_ship.get(sku, 0)
        least, most = max(0, units - waiting), min(units, state.items[sku].kept - waiting)
        said = command.shipped.get(sku)
        if said is not None and not least <= said <= most:
            return None
        had_left = min(max(command.discarded.get(sku, 0), least), most) if said is None else said
        if had_left:
            shipped[sku] = had_left
    return shipped


def _adopt(draft: OrderDraft, owner: str) -> Refused | None:
    state = draft.state
    if state.owner == owner:
        return None
    if not state.owner.startswith(GUEST):
        return Refused("not_a_guests", "The order is an account's.")
    draft.add(OrderAdopted(owner, state.owner, state.status, draft.now, state.contact_id))
    return None


def _worth(state: OrderState, lines: dict[str, int]) -> int:
    """What so many units cost, tax included: those of the SKU's first lines go back first."""
    goods = 0
    skip = {sku: state.items[sku].quantity - state.items[sku].kept for sku in lines}
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
