"""A cart at random: whatever is done to it, and however late its orders answer, no unit appears or is lost."""

from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.cart import (
    COMMANDS,
    AddLine,
    CartState,
    ChangeLine,
    CheckedOut,
    CheckOut,
    Clear,
    Confirmed,
    LinesTaken,
    Merge,
    RemoveLine,
    Returned,
    TakeLines,
    apply,
)
from actors.cart_decisions import decide
from actors.decision import Context, Decision, Refused
from actors.order import Place
from actors.pricing import MAX_QUANTITY, Line, Price, Shipping, Terms

TERMS = Terms("EUR", 1_900, True, Shipping("pickup", "Pickup", 0))
skus = st.sampled_from(["A", "B", "C"])
quantities = st.integers(1, 9) | st.just(MAX_QUANTITY)


def units(lines: tuple[Line, ...]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for line in lines:
        counted[line.sku] += line.quantity
    return counted


class CartMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = CartState()
        self.commands = 0
        self.expected: Counter[str] = Counter()  # units that must be in the cart or in a slot
        self.orders: list[str] = []

    def tell(self, command: COMMANDS) -> Decision:
        self.commands += 1
        context = Context(0, "g-1", f"c{self.commands}")
        decision = decide(self.state, command, context)
        assert decide(self.state, command, context) == decision
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        for send in decision.sends:
            if isinstance(send.message, TakeLines):
                self.expected -= units(send.message.lines)
        return decision

    @rule(
        sku=skus,
        quantity=quantities,
        agreed=st.none() | st.integers(0, 3),
        own=st.booleans(),
        version=st.integers(0, 3),
    )
    def add(self, sku: str, quantity: int, agreed: int | None, own: bool, version: int) -> None:
        price = Price(sku, sku, 100 + version, version=version)
        if not isinstance(self.tell(AddLine(sku, quantity, price, agreed, own)).reply, Refused):
            self.expected[sku] += quantity

    @rule(pick=st.integers(0, 20), quantity=quantities)
    def change(self, pick: int, quantity: int) -> None:
        if self.state.lines:
            line = self.state.lines[pick % len(self.state.lines)]
            assert not isinstance(self.tell(ChangeLine(line.id, quantity)).reply, Refused)
            self.expected[line.sku] += quantity - line.quantity

    @rule(pick=st.integers(0, 20))
    def remove(self, pick: int) -> None:
        if self.state.lines:
            line = self.state.lines[pick % len(self.state.lines)]
            self.tell(RemoveLine(line.id))
            self.expected[line.sku] -= line.quantity

    @rule()
    def clear(self) -> None:
        inside = units(self.state.lines)
        if not isinstance(self.tell(Clear()).reply, Refused):
            self.expected -= inside

    @rule(version=st.integers(0, 3))
    def check_out(self, version: int) -> None:
        order_id = f"o{self.commands}"
        prices = {sku: Price(sku, sku, 100 + version, version=version) for sku in "ABC"}
        inside = units(self.state.lines)
        decision = self.tell(CheckOut(order_id, "guest:g-1", "k", TERMS, "card", "r", prices, 1))
        if isinstance(decision.reply, CheckedOut):
            place = decision.sends[0].message
            assert isinstance(place, Place)
            assert units(place.lines) == inside
            assert place.totals.total == decision.reply.total == sum(line.total for line in place.lines)
            self.orders.append(order_id)

    @rule(pick=st.integers(0, 20), confirmed=st.booleans())
    def an_order_answers_perhaps_again(self, pick: int, confirmed: bool) -> None:
        if self.orders:
            order_id = self.orders[pick % len(self.orders)]
            slot = units(self.state.slots.get(order_id, ()))
            self.tell(Confirmed(order_id) if confirmed else Returned(order_id))
            if confirmed:
                self.expected -= slot

    @rule(lines=st.lists(st.tuples(skus, quantities), min_size=1, max_size=3))
    def take(self, lines: list[tuple[str, int]]) -> None:
        given = tuple(Line(f"t{self.commands}-{n}", sku, sku, quantity, 100) for n, (sku, quantity) in enumerate(lines))
        self.expected += units(given)
        for event in self.tell(TakeLines("g-2", given)).events:
            assert isinstance(event, LinesTaken)
            assert (event.lines, event.left_out) == (given, ())

    @rule(pick=st.integers(0, 9))
    def merge(self, pick: int) -> None:
        if pick == 0:
            self.tell(Merge("user-1"))

    @invariant()
    def no_unit_appears_or_is_lost(self) -> None:
        inside = units(self.state.lines)
        for lines in self.state.slots.values():
            inside += units(lines)
        assert inside == +self.expected

    @invariant()
    def lines_are_sound(self) -> None:
        ids = [line.id for line in self.state.lines]
        assert len(set(ids)) == len(ids)
        assert all(1 <= line.quantity <= MAX_QUANTITY for line in self.state.lines)
        assert self.state.merged_into is None or self.state.lines == ()

    @invariant()
    def it_is_stored_whole(self) -> None:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=CartState) == self.state


CartMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCart = CartMachine.TestCase
