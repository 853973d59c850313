"""The rules of a cart, by examples; `test_cart_machine.py` walks through it at random."""

import gc
import sys
from time import perf_counter

import msgspec
import pytest

from actors import cart
from actors.cart import (
    COMMANDS,
    EVENTS,
    MAX_LINES,
    MAX_SLOTS,
    MAX_WHOLE_VIEW,
    REPLIES,
    AddLine,
    CartChanged,
    CartCheckedOut,
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
    LinesReturned,
    LinesTaken,
    Merge,
    PricesNeeded,
    RemoveLine,
    Returned,
    SlotClosed,
    TakeLines,
    apply,
)
from actors.cart_decisions import decide
from actors.decision import Context, Decision, Done, Message, Refused, Send
from actors.order import Place
from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Line, Price, Shipping, Terms, Totals

TERMS = Terms("EUR", 2_000, True, Shipping("standard", "Standard", 490))
MUG = Price("MUG", "Mug", 1_200, version=3)
TEA = Price("TEA", "Tea", 450, version=1)


class Cart:
    """A cart that carries out what it is told, with a command id of its own each time."""

    def __init__(self, entity_id: str = "user-1", state: CartState | None = None) -> None:
        self.id = entity_id
        self.state = cart.initial(entity_id) if state is None else state
        self.commands = 0

    def tell(self, command: COMMANDS) -> Decision:
        self.commands += 1
        decision = decide(self.state, command, Context(0, self.id, f"c{self.commands}"))
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        return decision

    def ask(self, command: COMMANDS) -> Message:
        return self.tell(command).reply


def check_out(order_id: str = "o1", *prices: Price, expected: int | None = None) -> CheckOut:
    known = {price.sku: price for price in prices or (MUG, TEA)}
    return CheckOut(order_id, "user:user-1", "contact-1", TERMS, "card", "pm_card_visa", known, 1_800_000, expected)


def code(reply: Message) -> str:
    assert isinstance(reply, Refused)
    return reply.code


def quantities(shown: Cart) -> list[tuple[str, int]]:
    return [(line.sku, line.quantity) for line in shown.state.lines]


def test_a_line_is_added_with_the_price_shown() -> None:
    shopper = Cart()
    decision = shopper.tell(AddLine("MUG", 2, MUG))
    line = Line(shopper.state.lines[0].id, "MUG", "Mug", 2, 1_200, price_version=3)
    assert decision.events == (LineAdded(line),)
    assert decision.reply == CartView(lines=(line,))
    assert len(line.id) == 16


def test_the_same_sku_joins_its_line_at_the_newer_price() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 2, MUG))
    shopper.tell(AddLine("MUG", 3, Price("MUG", "Mug", 1_300, version=4)))
    shopper.tell(AddLine("MUG", 1, MUG))
    (line,) = shopper.state.lines
    assert (line.quantity, line.unit_price, line.price_version) == (6, 1_300, 4)


def test_an_agreed_price_has_its_own_line_and_so_has_a_line_asked_for() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(AddLine("MUG", 1, MUG, agreed=900))
    shopper.tell(AddLine("MUG", 1, MUG, agreed=900))
    shopper.tell(AddLine("MUG", 1, MUG, agreed=800))
    shopper.tell(AddLine("MUG", 1, MUG, line=True))
    assert [(line.unit_price, line.agreed, line.quantity) for line in shopper.state.lines] == [
        (1_200, False, 1),
        (900, True, 2),
        (800, True, 1),
        (1_200, False, 1),
    ]
    assert len({line.id for line in shopper.state.lines}) == 4


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (AddLine("NO", 1, None), "unknown_sku"),
        (AddLine("MUG", 0, MUG), "bad_quantity"),
        (AddLine("MUG", -1, MUG), "bad_quantity"),
        (AddLine("MUG", MAX_QUANTITY + 1, MUG), "bad_quantity"),
        (AddLine("MUG", MAX_QUANTITY, MUG), "bad_quantity"),
        (AddLine("MUG", 1, MUG, agreed=-1), "bad_price"),
        (AddLine("MUG", 1, MUG, agreed=MAX_AMOUNT + 1), "bad_price"),
        (AddLine("MUG", 1, Price("MUG", "Mug", 1, status="gone")), "sku_gone"),
        (ChangeLine("none", 1), "no_such_line"),
        (RemoveLine("none"), "no_such_line"),
        (Merge("user-2"), "cannot_merge"),
    ],
)
def test_refusals_change_nothing(command: COMMANDS, expected: str) -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    before = shopper.state
    decision = shopper.tell(command)
    assert code(decision.reply) == expected
    assert (decision.events, decision.sends, shopper.state) == ((), (), before)


def test_a_line_is_changed_removed_and_all_cleared() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(AddLine("TEA", 1, TEA))
    mug, tea = shopper.state.lines
    changed = shopper.tell(ChangeLine(mug.id, 74_215))
    assert changed.events == (LineChanged(msgspec.structs.replace(mug, quantity=74_215)),)
    assert shopper.tell(ChangeLine(mug.id, 74_215)).events == ()
    assert code(shopper.ask(ChangeLine(mug.id, 0))) == "bad_quantity"
    shopper.tell(RemoveLine(mug.id))
    assert shopper.state.lines == (tea,)
    shopper.tell(Clear())
    assert cart.view(shopper.state) == CartView()
    assert shopper.tell(Clear()) == Decision(reply=CartView())


def test_checkout_moves_all_lines_to_the_order() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 2, MUG))
    shopper.tell(AddLine("TEA", 1, TEA))
    lines = shopper.state.lines
    decision = shopper.tell(check_out())
    place = Place(
        cart_id="user-1",
        owner="user:user-1",
        contact_id="contact-1",
        lines=lines,
        terms=TERMS,
        totals=Totals(2_850, 490, 557, 3_340),
        method="card",
        payment_reference="pm_card_visa",
        deadline=1_800_000,
    )
    assert decision.reply == CheckedOut("o1", 3_340)
    assert decision.events == (CartCheckedOut("o1", 3_340, "EUR"),)
    assert decision.sends == (Send("order", "o1", place, creates=True),)
    assert cart.follows(decision.reply) == ("order", "o1")
    assert cart.view(shopper.state) == CartView(slots=("o1",), last_order="o1")
    assert shopper.state.slots == {"o1": lines}


def test_checkout_charges_todays_price_but_keeps_what_was_agreed() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(AddLine("TEA", 1, TEA, agreed=400))
    decision = shopper.tell(check_out("o1", Price("MUG", "Big mug", 1_500, version=9)))
    place = decision.sends[0].message
    assert isinstance(place, Place)
    assert [(line.name, line.unit_price, line.price_version) for line in place.lines] == [
        ("Big mug", 1_500, 9),
        ("Tea", 400, 1),
    ]
    assert decision.reply == CheckedOut("o1", 1_500 + 400 + 490)
    assert shopper.state.slots["o1"] == place.lines


def test_checkout_asks_for_prices_it_was_not_given() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(AddLine("TEA", 1, TEA))
    decision = shopper.tell(check_out("o1", MUG))
    assert decision == Decision(reply=PricesNeeded(("TEA",)), transient=True)


def test_checkout_refusals() -> None:
    shopper = Cart()
    assert shopper.ask(check_out()) == Refused(
        "nothing_to_check_out", "There is nothing in the cart to check out.", {"order_id": None}
    )
    shopper.tell(AddLine("MUG", 1, MUG))
    changed = shopper.ask(check_out(expected=1))
    assert isinstance(changed, Refused)
    assert (changed.code, changed.about) == ("total_changed", {"total": 1_690, "expected_total": 1})
    gone = shopper.ask(check_out("o1", Price("MUG", "Mug", 1_200, status="gone")))
    assert isinstance(gone, Refused)
    assert (gone.code, gone.about) == ("sku_gone", {"skus": ["MUG"]})
    assert shopper.ask(check_out(expected=1_690)) == CheckedOut("o1", 1_690)


def test_a_second_click_is_told_the_order_until_a_line_is_added() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(check_out())
    second = shopper.ask(check_out("o2"))
    assert isinstance(second, Refused)
    assert second.about == {"order_id": "o1"}
    shopper.tell(Confirmed("o1"))
    assert shopper.state.last_order == "o1"
    shopper.tell(AddLine("MUG", 1, MUG))
    assert shopper.state.last_order is None


def test_confirmed_closes_the_slot_once() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(check_out())
    assert shopper.tell(Confirmed("o1")) == Decision(events=(SlotClosed("o1"),))
    for late in (Confirmed("o1"), Returned("o1"), Confirmed("never"), Returned("never")):
        assert shopper.tell(late) == Decision(reply=Done())
    assert shopper.state.lines == ()


def test_returned_lines_join_what_was_added_meanwhile() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", 2, MUG))
    shopper.tell(AddLine("TEA", 1, TEA, agreed=400))
    shopper.tell(check_out())
    shopper.tell(AddLine("MUG", 1, MUG))
    assert shopper.tell(Returned("o1")) == Decision(events=(LinesReturned("o1"),))
    assert quantities(shopper) == [("MUG", 3), ("TEA", 1)]
    assert (shopper.state.slots, shopper.state.last_order) == ({}, None)
    assert shopper.tell(Returned("o1")) == Decision()
    assert quantities(shopper) == [("MUG", 3), ("TEA", 1)]


def test_lines_too_large_to_join_stay_apart() -> None:
    shopper = Cart()
    shopper.tell(AddLine("MUG", MAX_QUANTITY, MUG))
    shopper.tell(check_out())
    shopper.tell(AddLine("MUG", 1, MUG))
    shopper.tell(Returned("o1"))
    assert quantities(shopper) == [("MUG", 1), ("MUG", MAX_QUANTITY)]


def test_a_guests_cart_gives_its_lines_away_and_sends_on_what_comes_back() -> None:
    guest = Cart("g-1")
    guest.tell(AddLine("MUG", 1, MUG))
    guest.tell(check_out())
    guest.tell(AddLine("TEA", 2, TEA))
    bought, left = guest.state.slots["o1"], guest.state.lines
    merged = guest.tell(Merge("user-1"))
    assert merged.reply == CartView(slots=("o1",), merged_into="user-1")
    assert merged.events == (CartMerged("user-1"),)
    assert merged.sends == (Send("cart", "user-1", TakeLines("g-1", left)),)
    for command in (AddLine("MUG", 1, MUG), ChangeLine("x", 1), RemoveLine("x"), Clear(), check_out(), Merge("user-1")):
        reply = guest.ask(command)
        assert isinstance(reply, Refused)
        assert (reply.code, reply.about) == ("cart_merged", {"into": "user-1"})
    back = guest.tell(Returned("o1"))
    assert back.sends == (Send("cart", "user-1", TakeLines("g-1", bought)),)
    assert guest.state == CartState(merged_into="user-1")
    assert guest.tell(Returned("o1")) == Decision()
    stray = TakeLines("g-2", bought)
    assert guest.tell(stray) == Decision(sends=(Send("cart", "user-1", stray),))


def test_an_empty_guests_cart_merges_without_a_message_and_never_into_another_guests() -> None:
    assert code(Cart("g-1").ask(Merge("g-2"))) == "cannot_merge"
    assert Cart("g-1").tell(Merge("user-1")).sends == ()


def test_taken_lines_fill_a_cart_up_to_its_bound_and_tell_what_had_no_place() -> None:
    shopper = Cart()
    full(shopper, MAX_LINES - 1)
    lines = tuple(Line(f"l{n}", sku, sku, 1, 5) for n, sku in enumerate(["S0", "NEW", "OTHER", "S1"]))
    decision = shopper.tell(TakeLines("g-1", lines))
    assert decision.events == (LinesTaken("g-1", (lines[0], lines[1], lines[3]), ("OTHER",)),)
    assert len(shopper.state.lines) == MAX_LINES
    assert [shopper.state.lines[n].quantity for n in (0, 1, 2)] == [2, 2, 1]


def full(shopper: Cart, lines: int) -> None:
    made = tuple(Line(f"{n:016x}", f"S{n}", f"Thing {n}", 1, 100) for n in range(lines))
    shopper.state = CartState(lines=made)


def test_a_cart_has_bounds() -> None:
    shopper = Cart()
    full(shopper, MAX_LINES)
    assert code(shopper.ask(AddLine("MUG", 1, MUG))) == "cart_full"
    assert isinstance(shopper.ask(AddLine("S1", 1, Price("S1", "Thing 1", 100))), CartChanged)
    full(shopper, MAX_LINES + 1)
    assert code(shopper.ask(check_out())) == "cart_full"
    waiting = Cart(state=CartState(slots={f"o{n}": () for n in range(MAX_SLOTS)}))
    waiting.tell(AddLine("MUG", 1, MUG))
    assert code(waiting.ask(check_out("one-more"))) == "too_many_orders"


def test_only_a_short_cart_is_repeated_in_an_answer() -> None:
    shopper = Cart()
    full(shopper, MAX_WHOLE_VIEW - 1)
    assert isinstance(shopper.ask(AddLine("MUG", 1, MUG)), CartView)
    assert shopper.ask(AddLine("TEA", 1, TEA)) == CartChanged()


def test_adding_to_a_long_cart_stays_far_below_a_millisecond() -> None:
    shopper = Cart()
    full(shopper, 675)
    best = min(_seconds_to_add(shopper) for _ in range(50))
    assert best < 0.001


def _seconds_to_add(shopper: Cart) -> float:
    start = perf_counter()
    shopper.tell(AddLine("MUG", 1, MUG))
    return perf_counter() - start


def test_a_small_cart_takes_less_than_three_kilobytes() -> None:
    shopper = Cart()
    for number in range(3):
        shopper.tell(AddLine(f"SKU-{number}", 1, Price(f"SKU-{number}", f"A product with a name {number}", 1_999)))
    loaded = msgspec.msgpack.decode(msgspec.msgpack.encode(shopper.state), type=CartState)
    seen: set[int] = set()
    waiting: list[object] = [loaded]
    size = 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        size += sys.getsizeof(thing)
        fields = getattr(thing, "__struct_fields__", ())
        waiting += [getattr(thing, field) for field in fields] or gc.get_referents(thing)
    assert loaded == shopper.state
    assert size < 3_000


@pytest.mark.parametrize("union", [COMMANDS, EVENTS, REPLIES])
def test_stored_types_are_told_apart_by_their_tags(union: object) -> None:
    msgspec.msgpack.Decoder(union)


def test_a_cart_has_nothing_to_wait_for() -> None:
    assert cart.settled(CartState()) is True
    assert cart.follows(Done()) is None
