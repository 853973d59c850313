"""What a stock item decides. The queue is served again after everything that changes what is left."""

from collections.abc import Iterable

from actors.decision import Context, Decision, Done, refuse
from actors.draft import Draft
from actors.order import AskFate, GiveBack, Held, Short, Waiting
from actors.stock import (
    COMMANDS,
    EVENTS,
    AskOverdue,
    Claim,
    Correct,
    FateAsked,
    Hold,
    HoldRefused,
    HoldWaited,
    HoldWithdrawn,
    HoldWounded,
    Receive,
    Release,
    Requeue,
    Reserve,
    Sell,
    StockCorrected,
    StockReceived,
    StockState,
    TakeBack,
    UnitsHeld,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
    UnitsSold,
    apply,
    overdue_after,
    view,
)

MAX_UNITS = 1_000_000_000_000
"""On hand, at most: sums stay far inside 64 bits."""


class _Draft(Draft[StockState, EVENTS]):
    def __init__(self, state: StockState, context: Context) -> None:
        super().__init__(state, apply)
        self.now = context.now


def decide(state: StockState, command: COMMANDS, context: Context) -> Decision:
    draft = _Draft(state, context)
    match command:
        case Receive() | Correct():
            refusal = _count(draft, command)
            if refusal is not None:
                return refusal
        case TakeBack(order_id, quantity):
            if quantity > 0:
                draft.add(UnitsReturned(order_id, quantity, draft.state.available + quantity))
        case Hold():
            _hold(draft, command)
        case Requeue(order_id, round_):
            hold = state.holds.get(order_id)
            if hold is not None and round_ == hold.round + 1:
                draft.add(HoldWaited(order_id, hold.quantity, round_, state.available + hold.quantity))
        case Reserve(order_id):
            if order_id in state.holds:
                draft.add(UnitsReserved(order_id, state.holds[order_id].quantity))
        case Release(order_id):
            _release(draft, order_id)
        case Sell(order_id):
            claim = state.holds.get(order_id) or state.reservations.get(order_id)
            if claim is not None:
                draft.add(UnitsSold(order_id, claim.quantity))
        case AskOverdue():
            _ask(draft, [order_id for order_id, hold in state.holds.items() if hold.due_at <= context.now])
    if draft.state is not state:
        _serve(draft)
    _watch(draft, state, fired=isinstance(command, AskOverdue))
    return draft.decision(view(draft.state) if isinstance(command, Receive | Correct) else Done())


def _count(draft: _Draft, command: Receive | Correct) -> Decision | None:
    state = draft.state
    if isinstance(command, Receive):
        if not 0 < command.quantity <= MAX_UNITS - state.on_hand:
            return refuse("bad_quantity", "At least one unit must come in, and not more than can be counted.")
        draft.add(StockReceived(command.quantity, state.available + command.quantity))
        return None
    promised = state.held + state.reserved
    if not 0 <= command.on_hand <= MAX_UNITS:
        return refuse("bad_quantity", "On hand cannot be negative, nor more than can be counted.")
    if command.on_hand < promised:
        return refuse(
            "units_promised", f"{promised} units are promised to orders: cancel some first.", promised=promised
        )
    change = command.on_hand - state.on_hand
    if change:
        draft.add(StockCorrected(change, command.reason, state.available + change))
    return None


def _hold(draft: _Draft, command: Hold) -> None:
    state, order_id, quantity = draft.state, command.order_id, command.quantity
    if quantity <= 0 or any(order_id in claims for claims in (state.holds, state.waiting, state.reservations)):
        return
    left = state.on_hand - state.reserved
    if quantity > left:
        draft.send("order", order_id, Short(state.sku, left))
        return
    older = sum(claim.quantity for other, claim in state.waiting.items() if other < order_id)
    if quantity <= state.available - older:
        _grant(draft, order_id, Claim(quantity))
        return
    draft.add(HoldWaited(order_id, quantity, 1, state.available))
    draft.send("order", order_id, Waiting(state.sku))


def _grant(draft: _Draft, order_id: str, claim: Claim) -> None:
    due_at = draft.now + overdue_after(0)
    available = draft.state.available - claim.quantity
    draft.add(UnitsHeld(order_id, claim.quantity, claim.round, due_at, available))
    draft.send("order", order_id, Held(draft.state.sku, claim.round))


def _release(draft: _Draft, order_id: str) -> None:
    state = draft.state
    claim = state.holds.get(order_id) or state.reservations.get(order_id)
    if claim is not None:
        draft.add(UnitsReleased(order_id, claim.quantity, state.available + claim.quantity))
    elif order_id in state.waiting:
        draft.add(HoldWithdrawn(order_id))


def _serve(draft: _Draft) -> None:
    """Grants, refuses and wounds for those who wait, the oldest first; nobody passes an older request."""
    if not draft.state.waiting:
        return
    left = draft.state.on_hand - draft.state.reserved
    still: list[tuple[str, int]] = []
    for order_id, claim in sorted(draft.state.waiting.items()):
        if claim.quantity > left:
            draft.add(HoldRefused(order_id))
            draft.send("order", order_id, Short(draft.state.sku, left))
        elif not still and claim.quantity <= draft.state.available:
            _grant(draft, order_id, claim)
        else:
            still.append((order_id, claim.quantity))
    if still:
        _press(draft, still)


def _press(draft: _Draft, still: list[tuple[str, int]]) -> None:
    """Makes younger holders give back what the waiting need; of the others it asks whether they have decided.

    Asking matters: only what is known to be reserved lets a request that cannot be met be refused at once.
    """
    holds = draft.state.holds
    coming = draft.state.available + sum(hold.quantity for hold in holds.values() if hold.wounded)
    young = sorted(order_id for order_id, hold in holds.items() if not hold.wounded)
    wanted = 0
    for order_id, quantity in still:
        wanted += quantity
        while coming < wanted and young and young[-1] > order_id:
            holder = young.pop()
            coming += holds[holder].quantity
            draft.add(HoldWounded(holder))
            draft.send("order", holder, GiveBack(draft.state.sku, holds[holder].round))
    if coming < wanted:
        _ask(draft, [order_id for order_id in young if not holds[order_id].asked])


def _ask(draft: _Draft, order_ids: Iterable[str]) -> None:
    asked = tuple(order_ids)
    if asked:
        draft.add(FateAsked(asked, draft.now))
        for order_id in asked:
            draft.send("order", order_id, AskFate(draft.state.sku))


def _watch(draft: _Draft, before: StockState, *, fired: bool) -> None:
    """One timer for all holds. It is not moved when the first of them goes, so it may find nothing to do."""
    if fired and draft.state is before and before.holds:
        draft.add(FateAsked((), draft.now))
    watch_at = draft.state.watch_at
    if watch_at is None and before.watch_at is not None:
        draft.clear_timer("overdue")
    elif watch_at is not None and (fired or watch_at != before.watch_at):
        draft.set_timer("overdue", watch_at, AskOverdue())
