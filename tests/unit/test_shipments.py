"""An order leaves in parts: what counts as shipped, what as delivered, and what records from before say of it."""

import msgspec
import pytest

from actors import order, payment, stock
from actors.decision import Context, Decision, Message, Refused
from actors.kinds import ORDER
from actors.order import (
    AddShipment,
    Deliver,
    Held,
    NoteShipment,
    OrderDelivered,
    OrderPaid,
    OrderShipped,
    OrderState,
    Pack,
    PaymentCaptured,
    Place,
    Refund,
    Ship,
    Shipment,
    ShipmentAdded,
    ShipmentMoved,
    ShipmentStep,
    Step,
    apply,
    initial,
    view,
)
from actors.order_decisions import decide
from actors.order_shipments import MAX_SHIPMENTS, MAX_STEPS, units_left
from actors.pricing import Line, Shipping, Terms, totals

NOW = 1_000
TERMS = Terms("EUR", 2000, True, Shipping("standard", "Standard", 490))
LINES = (Line("l1", "bolt", "Bolt", 3, 100), Line("l2", "cog", "Cog", 1, 300))
TOTAL = 1_090


class Desk:
    """A packed order of three bolts and a cog."""

    def __init__(self, method: str = "card") -> None:
        self.state: OrderState = initial("o")
        self.now = NOW
        opened = Place("u1", "u1", "c1", LINES, TERMS, totals(LINES, TERMS), method, "pm_1", 60_000)
        paid = (PaymentCaptured(TOTAL),) if method == "card" else ()
        for command in (opened, Held("bolt"), Held("cog"), *paid, Pack()):
            self.tell(command)

    def tell(self, command: order.COMMANDS) -> Decision:
        decision = decide(self.state, command, Context(self.now, "o", "c"))
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        return decision

    def steps(self, first: int) -> list[Step]:
        return list(self.state.history[first:])


def code(decision: Decision) -> tuple[str, object]:
    assert isinstance(decision.reply, Refused)
    return decision.reply.code, decision.reply.about


def test_the_order_is_shipped_when_all_of_it_has_left() -> None:
    desk = Desk()
    first = desk.tell(AddShipment("DHL", "T1", {"bolt": 2}, url="https://dhl.example/T1", expected_on="2026-03-04"))
    added = ShipmentAdded(
        "1", "DHL", "T1", {"bolt": 2}, "u1", "c1", NOW, url="https://dhl.example/T1", expected_on="2026-03-04"
    )
    assert first.events == (added,)
    assert (view(desk.state).status, view(desk.state).partially_shipped) == ("packed", True)
    left = {"bolt": 1, "cog": 1}
    assert code(desk.tell(AddShipment("DHL", "T2", {"bolt": 2}))) == ("bad_shipment_lines", {"left": left})
    assert code(desk.tell(AddShipment("DHL", "T2", {"nut": 1}))) == ("bad_shipment_lines", {"left": left})
    assert code(desk.tell(Deliver())) == ("wrong_status", {"status": "packed"})
    second = desk.tell(AddShipment("UPS", "T2"))
    assert second.events == (
        ShipmentAdded("2", "UPS", "T2", left, "u1", "c1", NOW),
        OrderShipped("UPS", "T2", "u1", "c1", NOW, "2"),
    )
    assert (view(desk.state).status, view(desk.state).partially_shipped) == ("shipped", False)
    assert code(desk.tell(AddShipment("DHL", "T3"))) == ("wrong_status", {"status": "shipped"})


def test_it_is_delivered_when_every_parcel_is() -> None:
    desk = Desk("cash_on_delivery")
    for tracking, lines in (("T1", {"bolt": 3}), ("T2", {"cog": 1})):
        desk.tell(AddShipment("DHL", tracking, lines))
    before = len(desk.state.history)
    desk.now = 2_000
    moved = desk.tell(NoteShipment("2", "in_transit", 1_500, by="carrier"))
    assert moved.events == (ShipmentMoved("2", "in_transit", 1_500, 2_000, by="carrier"),)
    assert desk.tell(NoteShipment("2", "in_transit", 1_500, by="carrier")).events == ()
    desk.tell(NoteShipment("2", "delivered", 1_900))
    assert desk.state.status == "shipped"
    last = desk.tell(NoteShipment("1", "delivered", 1_950, by="carrier"))
    assert last.events[1:] == (OrderDelivered(2_000, "carrier"), OrderPaid(TOTAL, 2_000))
    assert [(send.kind, send.message) for send in last.sends] == [("payment", payment.RecordCash(TOTAL, "EUR", "u1"))]
    assert desk.tell(NoteShipment("1", "delivered", 9_999)).events == ()
    assert desk.steps(before) == [
        Step(2_000, "shipment_in_transit", "carrier", "2"),
        Step(2_000, "shipment_delivered", "staff", "2"),
        Step(2_000, "shipment_delivered", "carrier", "1"),
        Step(2_000, "delivered", "carrier"),
        Step(2_000, "paid"),
    ]


def test_late_news_is_put_in_its_place() -> None:
    desk = Desk()
    desk.tell(Ship("DHL", "T1"))
    for step, at in (("out_for_delivery", 3_000), ("in_transit", 2_000), ("delivered", 4_000), ("exception", 3_500)):
        desk.tell(NoteShipment("1", step, at, code="nobody_home" if step == "exception" else ""))  # type: ignore[arg-type]
    (shipment,) = desk.state.shipments
    assert [(one.step, one.at) for one in shipment.steps] == [
        ("handed_over", 1_000),
        ("in_transit", 2_000),
        ("out_for_delivery", 3_000),
        ("exception", 3_500),
        ("delivered", 4_000),
    ]
    assert shipment.status == "delivered"
    assert (desk.state.status, Shipment("x", "y").status) == ("delivered", "handed_over")


def test_a_refund_of_all_that_is_left_ends_the_shipping() -> None:
    desk = Desk()
    desk.tell(AddShipment("DHL", "T1", {"bolt": 3}))
    desk.tell(NoteShipment("1", "delivered", NOW))
    ended = desk.tell(Refund("r1", lines={"cog": 1}))
    assert ended.events[1:] == (OrderShipped("DHL", "T1", "u1", "c1", NOW, "1"), OrderDelivered(NOW, "staff"))
    assert [send.message for send in ended.sends][1:] == [stock.TakeBack("o", 1)]
    other = Desk()
    other.tell(Refund("r1", discarded={"bolt": 3, "cog": 1}))
    assert other.state.status == "packed"
    assert code(other.tell(AddShipment("DHL", "T1"))) == ("bad_shipment_lines", {"left": {}})


def test_there_is_an_end_to_parcels_and_news() -> None:
    desk = Desk()
    desk.tell(AddShipment("DHL", "T1", {"bolt": 1}))
    for at in range(MAX_STEPS - 1):
        desk.tell(NoteShipment("1", "in_transit", at))
    assert code(desk.tell(NoteShipment("1", "in_transit", NOW)))[0] == "too_many_steps"
    for unknown in ("2", "x", ""):
        assert code(desk.tell(NoteShipment(unknown, "in_transit", NOW)))[0] == "no_such_shipment"
    full = msgspec.structs.replace(desk.state, shipments=desk.state.shipments * MAX_SHIPMENTS)
    answer = decide(full, AddShipment("DHL", "T2", {"cog": 1}), Context(NOW, "o", "c")).reply
    assert isinstance(answer, Refused)
    assert answer.code == "too_many_shipments"


def test_what_is_left_is_what_was_neither_shipped_nor_taken_off() -> None:
    parcels = (Shipment("DHL", "T1", "1", lines={"bolt": 2}),)
    assert units_left({"bolt": 3, "cog": 1}, parcels) == {"bolt": 1, "cog": 1}
    assert units_left({"bolt": 2, "cog": 1}, parcels) == {"cog": 1}
    assert units_left({"bolt": 0, "cog": 0}, parcels) == {}


def partly_shipped() -> Desk:
    """Two bolts of three have left."""
    desk = Desk()
    desk.tell(AddShipment("DHL", "T1", {"bolt": 2}))
    return desk


@pytest.mark.parametrize(
    ("refund", "left"),
    [
        # What is not put back is what somebody has; what is put back is what was not sent, if nobody says otherwise.
        (Refund("r1", discarded={"bolt": 1}), {"bolt": 1, "cog": 1}),
        (Refund("r1", discarded={"bolt": 3}), {"cog": 1}),
        (Refund("r1", lines={"bolt": 1}), {"cog": 1}),
        (Refund("r1", lines={"bolt": 1}, discarded={"bolt": 1}), {"cog": 1}),
        (Refund("r1", lines={"bolt": 2}), {"cog": 1}),
        (Refund("r1", lines={"bolt": 1}, shipped={"bolt": 1}), {"bolt": 1, "cog": 1}),
        (Refund("r1", discarded={"bolt": 1}, shipped={"bolt": 0}), {"cog": 1}),
        (Refund("r1", discarded={"cog": 1}), {"bolt": 1}),
        (Refund("r1", 50), {"bolt": 1, "cog": 1}),
    ],
)
def test_a_refund_takes_off_what_is_left_only_units_that_had_not_left(refund: Refund, left: dict[str, int]) -> None:
    desk = partly_shipped()
    desk.tell(refund)
    assert desk.state.to_ship == left
    desk.tell(AddShipment("UPS", "T2"))
    assert desk.state.shipments[1].lines == left
    assert desk.state.status == "shipped"


def test_units_of_which_all_or_none_have_left_are_not_the_others() -> None:
    desk = partly_shipped()
    for shipped in ({"bolt": 3}, {"bolt": -1}, {"cog": 1}, {"nut": 1}):
        refused = desk.tell(Refund("r1", lines={"bolt": 3}, shipped=shipped))
        assert code(refused)[0] == "bad_refund_lines"
    assert code(desk.tell(Refund("r1", lines={"bolt": 3}, shipped={"bolt": 1})))[0] == "bad_refund_lines"
    asked = desk.tell(Refund("r1", lines={"bolt": 2}, discarded={"bolt": 1}, shipped={"bolt": 2}))
    assert isinstance(asked.events[0], order.RefundRequested)
    assert asked.events[0].shipped == {"bolt": 2}
    assert (desk.state.items["bolt"].kept, desk.state.to_ship) == (0, {"cog": 1})


def test_of_an_order_that_has_left_only_units_that_had_left_are_refunded() -> None:
    desk = Desk()
    desk.tell(Ship("DHL", "T1"))
    asked = desk.tell(Refund("r1", lines={"bolt": 1}))
    assert isinstance(asked.events[0], order.RefundRequested)
    assert asked.events[0].shipped == {"bolt": 1}
    assert desk.state.to_ship == {}


def encoded(tag: str, **fields: object) -> bytes:
    return msgspec.msgpack.encode({"type": tag, **fields})


OLD = [
    (
        encoded("OrderShipped/1", carrier="DHL", tracking="T1", owner="u1", contact_id="c1", at=5),
        OrderShipped("DHL", "T1", "u1", "c1", 5),
    ),
    (encoded("OrderDelivered/1", at=6), OrderDelivered(6)),
    (
        encoded("RefundRequested/1", refund_id="r1", amount=300, lines={"cog": 1}, reason="", at=7),
        order.RefundRequested("r1", 300, {"cog": 1}, "", 7),
    ),
]


@pytest.mark.parametrize(("record", "event"), OLD)
def test_events_of_before_are_read(record: bytes, event: Message) -> None:
    assert ORDER.event(record) == event


def test_commands_of_before_are_read() -> None:
    assert ORDER.command(encoded("Ship/1", carrier="DHL", tracking="T1")) == Ship("DHL", "T1")
    assert ORDER.command(encoded("Refund/1", refund_id="r1", lines={"cog": 1})) == Refund("r1", None, {"cog": 1})


def test_an_order_of_before_is_one_parcel_with_everything() -> None:
    state = Desk().state
    for record, _ in OLD:
        state = apply(state, ORDER.event(record))
    assert state.shipments == (
        Shipment(
            "DHL",
            "T1",
            "1",
            lines={"bolt": 3, "cog": 1},
            steps=(ShipmentStep("handed_over", 5), ShipmentStep("delivered", 6)),
        ),
    )
    assert (state.status, state.items["cog"].kept) == ("delivered", 0)


def test_a_snapshot_of_before_is_read_and_goes_on() -> None:
    desk = Desk()
    desk.tell(Ship("DHL", "T1"))
    plain = msgspec.to_builtins(desk.state)
    plain["shipments"] = [{"carrier": "DHL", "tracking": "T1"}]
    for item in plain["items"].values():
        del item["discarded"], item["refunded_shipped"]
    for step in plain["history"]:
        step.pop("who"), step.pop("about")
    desk.state = ORDER.state_of(msgspec.msgpack.encode(plain))
    assert desk.state.shipments == (Shipment("DHL", "T1"),)
    desk.tell(NoteShipment("1", "delivered", 9))
    assert desk.state.status == "delivered"
