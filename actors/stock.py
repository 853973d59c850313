"""A stock item: what is on hand of one SKU, and to whom it is promised.

An order asks for a *hold*. It is granted, refused (`Short`) or made to wait in a queue by order id, and only what is
*reserved* can make it short: an order that holds units may still lose, one that has reserved them stands. Waiting
requests take units back from younger holders (wound-wait), so that no two orders ever wait for each other. An order
that has decided says so only when it is asked (`AskFate`, `GiveBack`): most are sold before anyone needs to know.

Each hold has a round, one more each time that it was given back, so that a stale answer is never taken for a new one.
The decisions are in `stock_decisions.py`.
"""

from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused

OVERDUE = 30_000
"""Milliseconds after which a hold is asked about; twice as long after each time, up to `LONGEST_OVERDUE`."""

LONGEST_OVERDUE = 3_600_000


class Receive(Message, tag="Receive/1", frozen=True):
    """Goods came in. Answers StockView. Refused: bad_quantity."""

    quantity: int


class Correct(Message, tag="Correct/1", frozen=True):
    """Someone counted; `on_hand` includes what is promised. Answers StockView.

    Refused: bad_quantity, units_promised (about.promised: no count may be lower; cancel orders first).
    """

    on_hand: int
    reason: str


class Hold(Message, tag="Hold/1", frozen=True):
    """From an order: answered at once by Held, Waiting or Short."""

    order_id: str
    quantity: int


class Requeue(Message, tag="Requeue/1", frozen=True):
    """From an undecided order, to GiveBack: it gives its units back and waits for them in `round`."""

    order_id: str
    round: int


class Reserve(Message, tag="Reserve/1", frozen=True):
    """From an order, to AskFate or GiveBack: it has decided, its units are not to be had."""

    order_id: str


class Release(Message, tag="Release/1", frozen=True):
    """From an order: it needs nothing any more, neither units nor a place in the queue."""

    order_id: str


class Sell(Message, tag="Sell/1", frozen=True):
    """From an order: it is confirmed, the units are its own."""

    order_id: str


class TakeBack(Message, tag="TakeBack/1", frozen=True):
    """From an order: units that were sold are back. Adds up, so it relies on being delivered once by its id."""

    order_id: str
    quantity: int


class AskOverdue(Message, tag="AskOverdue/1", frozen=True):
    """Timer `overdue`: ask the orders whose holds are overdue."""


class StockReceived(Message, tag="StockReceived/1", frozen=True):
    """`available`, here and below: units that nobody holds or has reserved, after the event."""

    quantity: int
    available: int


class StockCorrected(Message, tag="StockCorrected/1", frozen=True):
    """`change`: units more (or, negative, fewer) than was thought."""

    change: int
    reason: str
    available: int


class UnitsHeld(Message, tag="UnitsHeld/1", frozen=True):
    """At `due_at` (UTC, milliseconds) the hold is overdue."""

    order_id: str
    quantity: int
    round: int
    due_at: int
    available: int


class HoldWaited(Message, tag="HoldWaited/1", frozen=True):
    """An order queued, for the first time or (`round` above 1, its units given back) again."""

    order_id: str
    quantity: int
    round: int
    available: int


class HoldWounded(Message, tag="HoldWounded/1", frozen=True):
    """The order was asked to give its hold back for an older one."""

    order_id: str


class HoldRefused(Message, tag="HoldRefused/1", frozen=True):
    """A waiting request became impossible: too much is reserved by now."""

    order_id: str


class HoldWithdrawn(Message, tag="HoldWithdrawn/1", frozen=True):
    """The order no longer waits."""

    order_id: str


class FateAsked(Message, tag="FateAsked/1", frozen=True):
    """The orders were asked whether they have decided, at `at` (UTC, milliseconds)."""

    order_ids: tuple[str, ...]
    at: int


class UnitsReserved(Message, tag="UnitsReserved/1", frozen=True):
    order_id: str
    quantity: int


class UnitsReleased(Message, tag="UnitsReleased/1", frozen=True):
    order_id: str
    quantity: int
    available: int


class UnitsSold(Message, tag="UnitsSold/1", frozen=True):
    order_id: str
    quantity: int


class UnitsReturned(Message, tag="UnitsReturned/1", frozen=True):
    order_id: str
    quantity: int
    available: int


class StockView(Message, tag="StockView/1", frozen=True):
    """Units. On hand counts held and reserved ones; on_hand + sold - returned = received + corrected."""

    sku: str
    on_hand: int
    held: int
    reserved: int
    sold: int
    returned: int
    received: int
    corrected: int
    available: int
    waiting: int


class Claim(msgspec.Struct, frozen=True):
    """What one order holds, waits for or has reserved."""

    quantity: int
    round: int = 1
    due_at: int = 0
    asked: int = 0
    wounded: bool = False


class StockState(msgspec.Struct, frozen=True):
    """Claims by order id; an order has at most one, in one of the three. `watch_at`: when timer `overdue` goes off."""

    sku: str
    on_hand: int = 0
    held: int = 0
    reserved: int = 0
    sold: int = 0
    returned: int = 0
    received: int = 0
    corrected: int = 0
    holds: dict[str, Claim] = {}
    waiting: dict[str, Claim] = {}
    reservations: dict[str, Claim] = {}
    watch_at: int | None = None

    @property
    def available(self) -> int:
        """Units that nobody holds or has reserved."""
        return self.on_hand - self.held - self.reserved


COMMANDS: TypeAlias = Receive | Correct | Hold | Requeue | Reserve | Release | Sell | TakeBack | AskOverdue
EVENTS: TypeAlias = (
    StockReceived
    | StockCorrected
    | UnitsHeld
    | HoldWaited
    | HoldWounded
    | HoldRefused
    | HoldWithdrawn
    | FateAsked
    | UnitsReserved
    | UnitsReleased
    | UnitsSold
    | UnitsReturned
)
REPLIES: TypeAlias = StockView | Done | Refused
EFFECTS = None
PUBLIC: tuple[type[Message], ...] = (
    StockReceived,
    StockCorrected,
    UnitsHeld,
    HoldWaited,
    UnitsReleased,
    UnitsSold,
    UnitsReturned,
)
"""Events that other services may read. The last `available` of a SKU is what can be bought."""


def initial(entity_id: str) -> StockState:
    return StockState(sku=entity_id)


def view(state: StockState) -> StockView:
    return StockView(
        sku=state.sku,
        on_hand=state.on_hand,
        held=state.held,
        reserved=state.reserved,
        sold=state.sold,
        returned=state.returned,
        received=state.received,
        corrected=state.corrected,
        available=state.available,
        waiting=sum(claim.quantity for claim in state.waiting.values()),
    )


def settled(state: StockState) -> bool:
    """Nothing is held or waited for; what is reserved may stay so for as long as a shopper pays."""
    return not state.holds and not state.waiting


def overdue_after(asked: int) -> int:
    """Milliseconds that a hold may stand after its order was asked so many times."""
    return min(OVERDUE << min(asked, 16), LONGEST_OVERDUE)


def apply(state: StockState, event: EVENTS) -> StockState:
    match event:
        case StockReceived(quantity):
            return replace(state, on_hand=state.on_hand + quantity, received=state.received + quantity)
        case StockCorrected(change):
            return replace(state, on_hand=state.on_hand + change, corrected=state.corrected + change)
        case UnitsReturned(quantity=quantity):
            return replace(state, on_hand=state.on_hand + quantity, returned=state.returned + quantity)
        case UnitsHeld() | HoldWaited() | HoldWounded() | FateAsked():
            return _apply_to_hold(state, event)
        case HoldRefused(order_id) | HoldWithdrawn(order_id):
            return replace(state, waiting=_without(state.waiting, order_id))
        case UnitsReserved(order_id, quantity):
            reservations = {**state.reservations, order_id: Claim(quantity)}
            return replace(_let_go(state, order_id), reservations=reservations, reserved=state.reserved + quantity)
        case UnitsReleased(order_id):
            return _let_go(state, order_id)
        case UnitsSold(order_id, quantity):
            return replace(_let_go(state, order_id), on_hand=state.on_hand - quantity, sold=state.sold + quantity)
    assert_never(event)


def _apply_to_hold(state: StockState, event: UnitsHeld | HoldWaited | HoldWounded | FateAsked) -> StockState:
    match event:
        case UnitsHeld(order_id, quantity, round_, due_at):
            holds = {**state.holds, order_id: Claim(quantity, round_, due_at)}
            waiting = _without(state.waiting, order_id) if order_id in state.waiting else state.waiting
            watch_at = due_at if state.watch_at is None else state.watch_at
            return replace(state, holds=holds, waiting=waiting, held=state.held + quantity, watch_at=watch_at)
        case HoldWaited(order_id, quantity, round_):
            waiting = {**state.waiting, order_id: Claim(quantity, round_)}
            return replace(_let_go(state, order_id), waiting=waiting)
        case HoldWounded(order_id):
            return replace(state, holds={**state.holds, order_id: replace(state.holds[order_id], wounded=True)})
        case FateAsked(order_ids, at):
            holds = dict(state.holds)
            for order_id in order_ids:
                asked = holds[order_id].asked + 1
                holds[order_id] = replace(holds[order_id], asked=asked, due_at=at + overdue_after(asked))
            return replace(state, holds=holds, watch_at=min((hold.due_at for hold in holds.values()), default=None))
    assert_never(event)


def _let_go(state: StockState, order_id: str) -> StockState:
    """Without the order's hold or reservation, if it has one."""
    if order_id in state.holds:
        holds = _without(state.holds, order_id)
        held = state.held - state.holds[order_id].quantity
        return replace(state, holds=holds, held=held, watch_at=state.watch_at if holds else None)
    if order_id in state.reservations:
        reserved = state.reserved - state.reservations[order_id].quantity
        return replace(state, reservations=_without(state.reservations, order_id), reserved=reserved)
    return state


def _without(claims: dict[str, Claim], order_id: str) -> dict[str, Claim]:
    left = dict(claims)
    del left[order_id]
    return left
