"""What a cart answers to each command, and what follows from it.

Messages from orders and from merged carts may come late or twice: what they are about is then gone, and nothing
follows.
"""

from typing import assert_never

from msgspec.structs import replace

from actors.cart import (
    COMMANDS,
    EVENTS,
    GUEST_PREFIX,
    MAX_LINES,
    MAX_SLOTS,
    MAX_WHOLE_VIEW,
    AddLine,
    AddLines,
    CartChanged,
    CartCheckedOut,
    CartCleared,
    CartMerged,
    CartState,
    CartView,
    ChangeLine,
    CheckedOut,
    CheckOut,
    Clear,
    Confirmed,
    LineAdded,
    LineChanged,
    LineRemoved,
    LinesAdded,
    LinesReturned,
    LinesTaken,
    Merge,
    PricesNeeded,
    RemoveLine,
    Returned,
    SlotClosed,
    TakeLines,
    apply,
    join,
    line_key,
    view,
    with_changes,
)
from actors.decision import Context, Decision, Refused, Send, refuse
from actors.order import Place
from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Line, Price, totals


def decide(state: CartState, command: COMMANDS, context: Context) -> Decision:
    if isinstance(command, Confirmed):
        return Decision(events=(SlotClosed(command.order_id),) if command.order_id in state.slots else ())
    if isinstance(command, Returned):
        return _returned(state, command, context)
    if isinstance(command, TakeLines):
        return _take(state, command)
    if state.merged_into is not None:
        return refuse("cart_merged", "This cart has become part of another.", into=state.merged_into)
    match command:
        case AddLine():
            return _add(state, command, context)
        case AddLines(lines):
            return _add_all(state, lines, context)
        case ChangeLine():
            return _change(state, command)
        case RemoveLine(line_id):
            return _changed(state, LineRemoved(line_id)) if _find(state, line_id) else _no_such_line(line_id)
        case Clear():
            return _changed(state, CartCleared()) if state.lines else _changed(state)
        case CheckOut():
            return _check_out(state, command, context)
        case Merge(into):
            return _merge(state, into, context)
    assert_never(command)


def _add(state: CartState, command: AddLine, context: Context) -> Decision:
    fresh = _fresh(command, context.new_id())
    if isinstance(fresh, Refused):
        return Decision(reply=fresh)
    same = None if command.line else _same(state.lines, fresh)
    if same is not None:
        joined = join(same, fresh)
        return _bad_quantity() if joined.quantity > MAX_QUANTITY else _changed(state, LineChanged(joined))
    return _changed(state, LineAdded(fresh)) if len(state.lines) < MAX_LINES else _full()


def _add_all(state: CartState, commands: tuple[AddLine, ...], context: Context) -> Decision:
    if len(state.lines) + len(commands) > MAX_LINES:
        return _full()
    lines: list[Line] = []
    for place, command in enumerate(commands):
        fresh = _fresh(command, context.new_id(place))
        if isinstance(fresh, Refused):
            return Decision(reply=replace(fresh, about={**fresh.about, "line": place}))
        lines.append(fresh)
    return _changed(state, LinesAdded(tuple(lines))) if lines else _changed(state)


def _fresh(command: AddLine, line_id: str) -> Line | Refused:
    """What is asked for as a line of its own."""
    price, agreed = command.price, command.agreed
    if price is None:
        return Refused("unknown_sku", "There is no such product.", {"sku": command.sku})
    if price.status == "gone":
        return Refused("sku_gone", "This product is no longer sold.", {"skus": [command.sku]})
    if not 1 <= command.quantity <= MAX_QUANTITY:
        return Refused("bad_quantity", f"A quantity is between 1 and {MAX_QUANTITY}.", {"limit": MAX_QUANTITY})
    if agreed is not None and not 0 <= agreed <= MAX_AMOUNT:
        return Refused("bad_price", f"An agreed price is between 0 and {MAX_AMOUNT} minor units.")
    unit_price = price.amount if agreed is None else agreed
    is_agreed = agreed is not None
    return Line(line_id, price.sku, price.name, command.quantity, unit_price, is_agreed, price.tax_class, price.version)


def _change(state: CartState, command: ChangeLine) -> Decision:
    line = _find(state, command.line_id)
    if line is None:
        return _no_such_line(command.line_id)
    if not 1 <= command.quantity <= MAX_QUANTITY:
        return _bad_quantity()
    if line.quantity == command.quantity:
        return _changed(state)
    return _changed(state, LineChanged(replace(line, quantity=command.quantity)))


def _check_out(state: CartState, command: CheckOut, context: Context) -> Decision:
    if not state.lines or command.order_id in state.slots:
        detail = "There is nothing in the cart to check out."
        return refuse("nothing_to_check_out", detail, order_id=state.last_order)
    if len(state.lines) > MAX_LINES:
        return refuse("cart_full", f"An order has at most {MAX_LINES} lines.", limit=MAX_LINES)
    if len(state.slots) >= MAX_SLOTS:
        return refuse("too_many_orders", f"{MAX_SLOTS} orders still wait to be paid.", limit=MAX_SLOTS)
    prices = command.prices
    open_lines = [line for line in state.lines if not line.agreed]
    missing = {line.sku: None for line in open_lines if line.sku not in prices}
    if missing:
        return Decision(reply=PricesNeeded(tuple(missing)), transient=True)
    gone = {line.sku: None for line in open_lines if prices[line.sku].status == "gone"}
    if gone:
        return refuse("sku_gone", "Some products are no longer sold.", skus=list(gone))
    repriced = tuple(now for line in open_lines if (now := _repriced(line, prices[line.sku])) != line)
    charged = with_changes(state.lines, repriced)
    sums = totals(charged, command.terms)
    if command.expected_total is not None and command.expected_total != sums.total:
        detail = "The order comes to another total than the one shown."
        return refuse("total_changed", detail, total=sums.total, expected_total=command.expected_total)
    place = Place(
        cart_id=context.entity_id,
        owner=command.owner,
        contact_id=command.contact_id,
        lines=charged,
        terms=command.terms,
        totals=sums,
        method=command.method,
        payment_reference=command.payment_reference,
        deadline=command.deadline,
        capture_method=command.capture_method,
    )
    return Decision(
        reply=CheckedOut(command.order_id, sums.total),
        events=(CartCheckedOut(command.order_id, sums.total, command.terms.currency, repriced),),
        sends=(Send("order", command.order_id, place, creates=True),),
    )


def _merge(state: CartState, into: str, context: Context) -> Decision:
    if not context.entity_id.startswith(GUEST_PREFIX) or into.startswith(GUEST_PREFIX):
        return refuse("cannot_merge", "Only a guest's cart merges, and only into a user's.")
    give = (Send("cart", into, TakeLines(context.entity_id, state.lines)),) if state.lines else ()
    return Decision(
        reply=CartView((), tuple(state.slots), state.last_order, into), events=(CartMerged(into),), sends=give
    )


def _returned(state: CartState, command: Returned, context: Context) -> Decision:
    lines = state.slots.get(command.order_id)
    if lines is None:
        return Decision()
    into = state.merged_into
    event = LinesReturned(command.order_id, into)
    give = () if into is None else (Send("cart", into, TakeLines(context.entity_id, lines)),)
    return Decision(events=(event,), sends=give)


def _take(state: CartState, command: TakeLines) -> Decision:
    if state.merged_into is not None:
        return Decision(sends=(Send("cart", state.merged_into, command),))
    places = max(0, MAX_LINES - len(state.lines))
    here = {line_key(line): line for line in reversed(state.lines)}
    taken: list[Line] = []
    left_out: dict[str, None] = {}
    for line in command.lines:
        same = here.get(line_key(line))
        if same is not None and same.quantity + line.quantity <= MAX_QUANTITY:
            here[line_key(line)] = replace(same, quantity=same.quantity + line.quantity)
        elif places:
            places -= 1
        else:
            left_out[line.sku] = None
            continue
        taken.append(line)
    return Decision(events=(LinesTaken(command.from_cart, tuple(taken), tuple(left_out)),))


def _changed(state: CartState, *events: EVENTS) -> Decision:
    """The events, and the cart after them unless it is long."""
    after = state
    for event in events:
        after = apply(after, event)
    return Decision(reply=view(after) if len(after.lines) <= MAX_WHOLE_VIEW else CartChanged(), events=events)


def _same(lines: tuple[Line, ...], wanted: Line) -> Line | None:
    for line in lines:
        if line.sku == wanted.sku and line_key(line) == line_key(wanted):
            return line
    return None


def _repriced(line: Line, price: Price) -> Line:
    return replace(
        line, name=price.name, unit_price=price.amount, tax_class=price.tax_class, price_version=price.version
    )


def _find(state: CartState, line_id: str) -> Line | None:
    return next((line for line in state.lines if line.id == line_id), None)


def _no_such_line(line_id: str) -> Decision:
    return refuse("no_such_line", "There is no such line in the cart.", line_id=line_id)


def _bad_quantity() -> Decision:
    return refuse("bad_quantity", f"A quantity is between 1 and {MAX_QUANTITY}.", limit=MAX_QUANTITY)


def _full() -> Decision:
    return refuse("cart_full", f"A cart holds at most {MAX_LINES} lines.", limit=MAX_LINES)
