"""A cart: its lines, the orders that have taken lines with them, and the rules for both.

A checkout *moves* the lines into a slot named after the order and sends them to it, so a cart stays usable and no
line is in two orders. The order answers `Confirmed`, which drops the slot, or `Returned`, which puts its lines
back. A guest's cart that was merged keeps its slots, remembers whose it became and sends on whatever comes back.
The decisions are in `cart_decisions.py`.
"""

from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused
from actors.order_commands import CaptureMethod
from actors.pricing import MAX_QUANTITY, Line, Price, Terms

MAX_LINES = 1_000
"""Lines of a cart. Only what orders return may go beyond; then nothing is added or bought until some are removed."""

MAX_SLOTS = 20
"""Orders of one cart that have not been confirmed or ended yet."""

MAX_WHOLE_VIEW = 32
"""A longer cart answers a change with `CartChanged`, so that a record does not grow with the lines already there."""

GUEST_PREFIX = "g-"
"""Guests' cart ids start with it. Only such a cart merges, never into another such: lines cannot go in circles."""


class AddLine(Message, tag="AddLine/1", frozen=True):
    """Puts units of a SKU in the cart. They join a line of the same SKU at the same kind of price.

    `line` asks for one of their own. `price` is what the catalogue says now (None: it knows no such SKU), `agreed` a
    quotation in minor units. Refused: unknown_sku, sku_gone, bad_quantity, bad_price, cart_full.
    """

    sku: str
    quantity: int
    price: Price | None
    agreed: int | None = None
    line: bool = False


class AddLines(Message, tag="AddLines/1", frozen=True):
    """Puts many lines in the cart at once, all or none, each as a line of its own, as a quotation lists them.

    Refused as AddLine is; about.line: the first line that cannot be taken, from 0.
    """

    lines: tuple[AddLine, ...]


class ChangeLine(Message, tag="ChangeLine/1", frozen=True):
    """Refused: no_such_line, bad_quantity (to take a line out there is RemoveLine)."""

    line_id: str
    quantity: int


class RemoveLine(Message, tag="RemoveLine/1", frozen=True):
    line_id: str


class Clear(Message, tag="Clear/1", frozen=True):
    """Takes every line out; orders under way keep theirs."""


class CheckOut(Message, tag="CheckOut/1", frozen=True):
    """Sends all lines to a new order, at the prices given (agreed lines: at theirs).

    `deadline`: how long the shopper may take to pay, in milliseconds. `capture_method`: when money is taken. With
    `expected_total` nothing happens unless the order comes to exactly that. Answers PricesNeeded if prices are missing.
    Refused: nothing_to_check_out (about.order_id: the order that has the lines), total_changed, sku_gone, cart_full,
    too_many_orders.
    """

    order_id: str
    owner: str
    contact_id: str
    terms: Terms
    method: str
    payment_reference: str
    prices: dict[str, Price]
    deadline: int
    expected_total: int | None = None
    capture_method: CaptureMethod = "automatic"


class Merge(Message, tag="Merge/1", frozen=True):
    """Gives a guest's lines to the cart `into`, for good. Refused: cart_merged, cannot_merge."""

    into: str


class TakeLines(Message, tag="TakeLines/1", frozen=True):
    """Lines that come from a merged cart."""

    from_cart: str
    lines: tuple[Line, ...]


class Confirmed(Message, tag="Confirmed/1", frozen=True):
    """The order stands: its lines are bought."""

    order_id: str


class Returned(Message, tag="Returned/1", frozen=True):
    """The order ended without a purchase: its lines come back."""

    order_id: str


class LineAdded(Message, tag="LineAdded/1", frozen=True):
    line: Line


class LinesAdded(Message, tag="LinesAdded/1", frozen=True):
    lines: tuple[Line, ...]


class LineChanged(Message, tag="LineChanged/1", frozen=True):
    """The line as it is now, in its old place."""

    line: Line


class LineRemoved(Message, tag="LineRemoved/1", frozen=True):
    line_id: str


class CartCleared(Message, tag="CartCleared/1", frozen=True):
    pass


class CartCheckedOut(Message, tag="CartCheckedOut/1", frozen=True):
    """All lines went to the order; `repriced` are those that it charges at another price than was shown."""

    order_id: str
    total: int
    currency: str
    repriced: tuple[Line, ...] = ()


class SlotClosed(Message, tag="SlotClosed/1", frozen=True):
    order_id: str


class LinesReturned(Message, tag="LinesReturned/1", frozen=True):
    """The slot's lines are back, in this cart or (`forwarded_to`) in the one that it became part of."""

    order_id: str
    forwarded_to: str | None = None


class CartMerged(Message, tag="CartMerged/1", frozen=True):
    into: str


class LinesTaken(Message, tag="LinesTaken/1", frozen=True):
    """`left_out`: SKUs for which a full cart had no place."""

    from_cart: str
    lines: tuple[Line, ...]
    left_out: tuple[str, ...] = ()


class CartView(Message, tag="CartView/1", frozen=True):
    """`slots`: orders under way. `last_order`: the order that the lines went to, until a line is added."""

    lines: tuple[Line, ...] = ()
    slots: tuple[str, ...] = ()
    last_order: str | None = None
    merged_into: str | None = None


class CartChanged(Message, tag="CartChanged/1", frozen=True):
    """Done, to a cart too long to be repeated in each answer: read it, at least at the answer's version."""


class CheckedOut(Message, tag="CheckedOut/1", frozen=True):
    order_id: str
    total: int


class PricesNeeded(Message, tag="PricesNeeded/1", frozen=True):
    """Ask again under the same command id, with the prices of these too."""

    skus: tuple[str, ...]


class CartState(msgspec.Struct, frozen=True):
    lines: tuple[Line, ...] = ()
    slots: dict[str, tuple[Line, ...]] = {}
    last_order: str | None = None
    merged_into: str | None = None


ClientCommand: TypeAlias = AddLine | AddLines | ChangeLine | RemoveLine | Clear | CheckOut | Merge
COMMANDS: TypeAlias = ClientCommand | TakeLines | Confirmed | Returned
EVENTS: TypeAlias = (
    LineAdded
    | LinesAdded
    | LineChanged
    | LineRemoved
    | CartCleared
    | CartCheckedOut
    | SlotClosed
    | LinesReturned
    | CartMerged
    | LinesTaken
)
REPLIES: TypeAlias = CartView | CartChanged | CheckedOut | PricesNeeded | Done | Refused
EFFECTS = None
PUBLIC: tuple[type[Message], ...] = (CartCheckedOut, CartMerged)
"""Events that other services may read."""


def initial(entity_id: str) -> CartState:
    return CartState()


def view(state: CartState) -> CartView:
    return CartView(state.lines, tuple(state.slots), state.last_order, state.merged_into)


def settled(state: CartState) -> bool:
    """A cart never waits for anything that a reader might wait for with it."""
    return True


def follows(reply: Message) -> tuple[str, str] | None:
    """A checkout's caller wants to know about the order."""
    return ("order", reply.order_id) if isinstance(reply, CheckedOut) else None


def apply(state: CartState, event: EVENTS) -> CartState:
    match event:
        case LineAdded(line):
            return replace(state, lines=(*state.lines, line), last_order=None)
        case LinesAdded(lines):
            return replace(state, lines=(*state.lines, *lines), last_order=None)
        case LineChanged(line):
            lines = tuple(line if other.id == line.id else other for other in state.lines)
            return replace(state, lines=lines, last_order=None)
        case LineRemoved(line_id):
            return replace(state, lines=tuple(line for line in state.lines if line.id != line_id))
        case CartCleared():
            return replace(state, lines=())
        case CartCheckedOut(order_id, repriced=repriced):
            slots = {**state.slots, order_id: with_changes(state.lines, repriced)}
            return replace(state, lines=(), slots=slots, last_order=order_id)
        case SlotClosed(order_id):
            return replace(state, slots=_without(state.slots, order_id))
        case LinesReturned(order_id, forwarded_to):
            back = () if forwarded_to is not None else state.slots[order_id]
            last_order = None if state.last_order == order_id else state.last_order
            slots = _without(state.slots, order_id)
            return replace(state, lines=joined(state.lines, back), slots=slots, last_order=last_order)
        case CartMerged(into):
            return replace(state, lines=(), merged_into=into)
        case LinesTaken(lines=lines):
            return replace(state, lines=joined(state.lines, lines), last_order=None)
    assert_never(event)


def join(line: Line, more: Line) -> Line:
    """One line of both, in the place of the first, at the newer price of the two."""
    newest = more if more.price_version >= line.price_version else line
    return replace(newest, id=line.id, quantity=line.quantity + more.quantity)


def joined(lines: tuple[Line, ...], more: tuple[Line, ...]) -> tuple[Line, ...]:
    """`lines` with `more`: what matches a line of `lines` joins it unless that grows too large; the rest follow."""
    result = list(lines)
    places = {line_key(line): place for place, line in reversed(list(enumerate(lines)))}
    for line in more:
        place = places.get(line_key(line))
        if place is not None and result[place].quantity + line.quantity <= MAX_QUANTITY:
            result[place] = join(result[place], line)
        else:
            result.append(line)
    return tuple(result)


def line_key(line: Line) -> tuple[str, int | None]:
    """Lines with the same key can be one line: prices that were not agreed are all the catalogue's."""
    return line.sku, line.unit_price if line.agreed else None


def with_changes(lines: tuple[Line, ...], changes: tuple[Line, ...]) -> tuple[Line, ...]:
    by_id = {line.id: line for line in changes}
    return tuple(by_id.get(line.id, line) for line in lines) if by_id else lines


def _without(slots: dict[str, tuple[Line, ...]], order_id: str) -> dict[str, tuple[Line, ...]]:
    return {other: lines for other, lines in slots.items() if other != order_id}
