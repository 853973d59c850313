"""A stock item by example: who gets units, who waits, who is asked, and what is counted."""

import msgspec
import pytest

from actors.decision import ClearTimer, Context, Decision, Message, Refused, Send, SetTimer
from actors.order import AskFate, GiveBack, Held, Short, Waiting
from actors.stock import (
    COMMANDS,
    LONGEST_OVERDUE,
    OVERDUE,
    AskOverdue,
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
    StockView,
    TakeBack,
    UnitsHeld,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
    UnitsSold,
    apply,
    initial,
    overdue_after,
    settled,
    view,
)
from actors.stock_decisions import decide

NOW = 1_000


class Shelf:
    """A stock item that remembers what it decided last."""

    def __init__(self, on_hand: int = 0) -> None:
        self.state: StockState = initial("bolt")
        self.now = NOW
        if on_hand:
            self.tell(Receive(on_hand))

    def tell(self, command: COMMANDS) -> Decision:
        decision = decide(self.state, command, Context(self.now, "bolt", "c"))
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        return decision


def sent(decision: Decision) -> list[tuple[str, Message]]:
    assert all(send.kind == "order" for send in decision.sends)
    return [(send.id, send.message) for send in decision.sends]


def test_goods_come_in() -> None:
    decision = Shelf().tell(Receive(5))
    assert decision.events == (StockReceived(5, 5),)
    assert decision.reply == StockView("bolt", 5, 0, 0, 0, 0, 5, 0, 5, 0)


@pytest.mark.parametrize("quantity", [0, -1, 10**12 + 1])
def test_a_wrong_quantity_does_not_come_in(quantity: int) -> None:
    decision = Shelf().tell(Receive(quantity))
    assert isinstance(decision.reply, Refused)
    assert decision.reply.code == "bad_quantity"
    assert decision.events == ()


def test_a_count_corrects_what_is_on_hand() -> None:
    shelf = Shelf(5)
    assert shelf.tell(Correct(3, "broken")).events == (StockCorrected(-2, "broken", 3),)
    assert shelf.tell(Correct(3, "again")).events == ()
    assert view(shelf.state) == StockView("bolt", 3, 0, 0, 0, 0, 5, -2, 3, 0)


def test_a_count_below_what_is_promised_is_refused() -> None:
    shelf = Shelf(5)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("b", 1))
    shelf.tell(Reserve("b"))
    reply = shelf.tell(Correct(2, "stolen")).reply
    assert isinstance(reply, Refused)
    assert (reply.code, reply.about) == ("units_promised", {"promised": 3})
    assert shelf.tell(Correct(3, "stolen")).events == (StockCorrected(-2, "stolen", 0),)


def test_a_count_cannot_be_negative() -> None:
    reply = Shelf(5).tell(Correct(-1, "")).reply
    assert isinstance(reply, Refused)
    assert reply.code == "bad_quantity"


def test_a_hold_is_granted_and_watched() -> None:
    shelf = Shelf(5)
    decision = shelf.tell(Hold("a", 2))
    assert decision.events == (UnitsHeld("a", 2, 1, NOW + OVERDUE, 3),)
    assert decision.sends == (Send("order", "a", Held("bolt", 1)),)
    assert decision.timers == (SetTimer("overdue", NOW + OVERDUE, AskOverdue()),)
    assert shelf.tell(Hold("b", 1)).timers == ()
    assert not settled(shelf.state)


def test_the_same_hold_again_changes_nothing() -> None:
    shelf = Shelf(2)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("b", 1))
    assert shelf.tell(Hold("a", 2)) == Decision()
    assert shelf.tell(Hold("b", 1)) == Decision()
    shelf.tell(Reserve("a"))
    assert shelf.tell(Hold("a", 2)) == Decision()


def test_only_what_is_reserved_makes_short() -> None:
    shelf = Shelf(2)
    shelf.tell(Hold("a", 2))
    decision = shelf.tell(Hold("b", 1))
    assert sent(decision)[0] == ("b", Waiting("bolt"))
    shelf.tell(Reserve("a"))
    decision = shelf.tell(Hold("c", 1))
    assert decision.events == ()
    assert sent(decision) == [("c", Short("bolt", 0))]


def test_more_than_there_is_is_short_at_once() -> None:
    assert sent(Shelf(2).tell(Hold("a", 3))) == [("a", Short("bolt", 2))]
    assert sent(Shelf().tell(Hold("a", 1))) == [("a", Short("bolt", 0))]


def test_an_older_holder_is_asked_once_whether_it_has_decided() -> None:
    shelf = Shelf(2)
    shelf.tell(Hold("a", 2))
    decision = shelf.tell(Hold("b", 1))
    assert decision.events == (HoldWaited("b", 1, 1, 0), FateAsked(("a",), NOW))
    assert sent(decision) == [("b", Waiting("bolt")), ("a", AskFate("bolt"))]
    assert sent(shelf.tell(Hold("c", 1))) == [("c", Waiting("bolt"))]


def test_when_it_has_those_who_wait_are_short() -> None:
    shelf = Shelf(2)
    for order_id in "abc":
        shelf.tell(Hold(order_id, 2 if order_id == "a" else 1))
    decision = shelf.tell(Reserve("a"))
    assert decision.events == (UnitsReserved("a", 2), HoldRefused("b"), HoldRefused("c"))
    assert sent(decision) == [("b", Short("bolt", 0)), ("c", Short("bolt", 0))]
    assert decision.timers == (ClearTimer("overdue"),)
    assert settled(shelf.state)
    assert shelf.tell(Reserve("a")) == Decision()


def test_released_units_go_to_the_oldest_who_waits_and_nobody_passes_it() -> None:
    shelf = Shelf(3)
    shelf.tell(Hold("a", 3))
    shelf.tell(Hold("c", 1))
    shelf.tell(Hold("b", 3))
    decision = shelf.tell(Release("a"))
    assert decision.events[:2] == (UnitsReleased("a", 3, 3), UnitsHeld("b", 3, 1, NOW + OVERDUE, 0))
    assert sent(decision) == [("b", Held("bolt", 1)), ("b", AskFate("bolt"))]
    assert list(shelf.state.waiting) == ["c"]


def test_a_small_request_does_not_pass_an_older_large_one() -> None:
    shelf = Shelf(3)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("b", 2))
    assert sent(shelf.tell(Hold("c", 1))) == [("c", Waiting("bolt"))]
    shelf = Shelf(3)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("c", 2))
    assert sent(shelf.tell(Hold("b", 1)))[0] == ("b", Held("bolt", 1))


def test_an_older_request_wounds_the_youngest_and_no_more_than_needed() -> None:
    shelf = Shelf(3)
    for order_id in ("b", "c", "d"):
        shelf.tell(Hold(order_id, 1))
    decision = shelf.tell(Hold("a", 2))
    assert decision.events == (HoldWaited("a", 2, 1, 0), HoldWounded("d"), HoldWounded("c"))
    assert sent(decision) == [("a", Waiting("bolt")), ("d", GiveBack("bolt", 1)), ("c", GiveBack("bolt", 1))]


def test_a_wounded_hold_queues_again_and_comes_back_in_its_next_round() -> None:
    shelf = Shelf(1)
    shelf.tell(Hold("b", 1))
    shelf.tell(Hold("a", 1))
    decision = shelf.tell(Requeue("b", 2))
    assert decision.events == (
        HoldWaited("b", 1, 2, 1),
        UnitsHeld("a", 1, 1, NOW + OVERDUE, 0),
        FateAsked(("a",), NOW),
    )
    assert sent(decision) == [("a", Held("bolt", 1)), ("a", AskFate("bolt"))]
    assert shelf.tell(Requeue("b", 2)) == Decision()
    assert sent(shelf.tell(Release("a"))) == [("b", Held("bolt", 2))]
    assert shelf.tell(Requeue("b", 2)) == Decision(), "an answer to the round before"


def test_a_wounded_holder_that_has_decided_keeps_its_units() -> None:
    shelf = Shelf(1)
    shelf.tell(Hold("b", 1))
    shelf.tell(Hold("a", 1))
    decision = shelf.tell(Reserve("b"))
    assert decision.events == (UnitsReserved("b", 1), HoldRefused("a"))
    assert sent(decision) == [("a", Short("bolt", 0))]


def test_a_release_withdraws_what_waits() -> None:
    shelf = Shelf(1)
    shelf.tell(Hold("a", 1))
    shelf.tell(Hold("b", 1))
    assert shelf.tell(Release("b")).events == (HoldWithdrawn("b"),)
    assert shelf.tell(Release("b")) == Decision()
    assert shelf.tell(Release("never seen")) == Decision()


def test_units_are_sold_from_a_hold_or_a_reservation_and_come_back() -> None:
    shelf = Shelf(5)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("b", 1))
    shelf.tell(Reserve("a"))
    assert shelf.tell(Sell("a")).events == (UnitsSold("a", 2),)
    assert shelf.tell(Sell("b")).events == (UnitsSold("b", 1),)
    assert shelf.tell(Sell("b")) == Decision()
    assert shelf.tell(Release("b")) == Decision()
    assert shelf.tell(TakeBack("a", 1)).events == (UnitsReturned("a", 1, 3),)
    assert view(shelf.state) == StockView("bolt", 3, 0, 0, 3, 1, 5, 0, 3, 0)


def test_returned_and_received_units_serve_the_queue() -> None:
    shelf = Shelf(2)
    shelf.tell(Hold("a", 2))
    shelf.tell(Hold("b", 1))
    assert sent(shelf.tell(TakeBack("z", 1)))[0] == ("b", Held("bolt", 1))
    shelf.tell(Hold("c", 2))
    assert sent(shelf.tell(Receive(2)))[0] == ("c", Held("bolt", 1))


def test_an_overdue_hold_is_asked_about_less_and_less_often() -> None:
    shelf = Shelf(5)
    shelf.tell(Hold("a", 1))
    shelf.now += 10_000
    shelf.tell(Hold("b", 1))
    shelf.now = NOW + OVERDUE
    decision = shelf.tell(AskOverdue())
    assert decision.events == (FateAsked(("a",), shelf.now),)
    assert sent(decision) == [("a", AskFate("bolt"))]
    assert decision.timers == (SetTimer("overdue", NOW + 10_000 + OVERDUE, AskOverdue()),)
    shelf.now = NOW + 10_000 + OVERDUE
    decision = shelf.tell(AskOverdue())
    assert sent(decision) == [("b", AskFate("bolt"))]
    assert decision.timers == (SetTimer("overdue", NOW + 3 * OVERDUE, AskOverdue()),)
    assert overdue_after(3) == 8 * OVERDUE
    assert overdue_after(1_000) == LONGEST_OVERDUE


def test_a_timer_that_finds_the_first_hold_gone_is_set_for_the_next() -> None:
    shelf = Shelf(5)
    shelf.tell(Hold("a", 1))
    shelf.now += 10_000
    shelf.tell(Hold("b", 1))
    assert shelf.tell(Sell("a")).timers == ()
    shelf.now = NOW + OVERDUE
    decision = shelf.tell(AskOverdue())
    assert decision.sends == ()
    assert decision.timers == (SetTimer("overdue", NOW + 10_000 + OVERDUE, AskOverdue()),)
    assert shelf.tell(Sell("b")).timers == (ClearTimer("overdue"),)
    assert shelf.tell(AskOverdue()) == Decision()


def test_a_state_survives_being_stored() -> None:
    shelf = Shelf(2)
    shelf.tell(Hold("b", 2))
    shelf.tell(Hold("a", 1))
    stored = msgspec.msgpack.encode(shelf.state)
    assert msgspec.msgpack.decode(stored, type=StockState) == shelf.state
