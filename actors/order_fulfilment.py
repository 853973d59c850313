"""How an order gets to its door: packed, parted into parcels, delivered. Some of it may leave before the rest."""

from typing import TypeAlias

from actors import payment
from actors.decision import Refused
from actors.order import (
    AddShipment,
    Deliver,
    NoteShipment,
    OrderDelivered,
    OrderPacked,
    OrderPaid,
    OrderShipped,
    Pack,
    Ship,
    Shipment,
    ShipmentAdded,
    ShipmentMoved,
    ShipmentStep,
)
from actors.order_outcomes import OrderDraft
from actors.order_shipments import MAX_SHIPMENTS, MAX_STEPS, place_of

Fulfilment: TypeAlias = Pack | Ship | AddShipment | NoteShipment | Deliver


def fulfil(draft: OrderDraft, command: Fulfilment) -> Refused | None:
    """A step that has been taken already changes nothing."""
    status = draft.state.status
    match command:
        case Pack():
            if status == "confirmed":
                draft.add(OrderPacked(draft.now))
                if draft.state.payment_status == "authorised":
                    draft.send("payment", draft.state.id, payment.Capture())
            elif status != "packed":
                return _wrong_status(draft, "confirmed")
        case Ship(carrier, tracking, url):
            if status != "shipped":
                return _add(draft, AddShipment(carrier, tracking, url=url))
        case AddShipment():
            return _add(draft, command)
        case NoteShipment():
            return _note(draft, command)
        case Deliver():
            if status == "shipped":
                _deliver(draft, "staff")
            elif status != "delivered":
                return _wrong_status(draft, "shipped")
    return None


def end_shipping(draft: OrderDraft) -> None:
    """All of it has left once nothing is left of it; after a refund too, which may have been of all the rest."""
    state = draft.state
    if state.status != "packed" or not state.shipments or state.to_ship:
        return
    last = state.shipments[-1]
    draft.add(OrderShipped(last.carrier, last.tracking, state.owner, state.contact_id, draft.now, last.id))
    _end_delivery(draft, "staff")


def _wrong_status(draft: OrderDraft, before: str) -> Refused:
    status = draft.state.status
    return Refused("wrong_status", f"The order is {status}, not {before}.", {"status": status})


def _add(draft: OrderDraft, command: AddShipment) -> Refused | None:
    state = draft.state
    if state.status != "packed":
        return _wrong_status(draft, "packed")
    if state.payment_status == "authorised":
        return Refused("not_captured", "The money is being captured: ship the order once it is paid.")
    if len(state.shipments) >= MAX_SHIPMENTS:
        return Refused("too_many_shipments", f"An order has at most {MAX_SHIPMENTS} shipments.")
    left = state.to_ship
    lines = command.lines or left
    if not lines or any(not 0 < units <= left.get(sku, 0) for sku, units in lines.items()):
        return Refused("bad_shipment_lines", "So many units are not waiting to be shipped.", {"left": left})
    draft.add(
        ShipmentAdded(
            str(len(state.shipments) + 1),
            command.carrier,
            command.tracking,
            lines,
            state.owner,
            state.contact_id,
            draft.now,
            url=command.url,
            expected_on=command.expected_on,
        )
    )
    end_shipping(draft)
    return None


def _note(draft: OrderDraft, command: NoteShipment) -> Refused | None:
    shipments = draft.state.shipments
    place = place_of(shipments, command.shipment_id)
    if place is None:
        return Refused("no_such_shipment", "The order has no such shipment.")
    if _is_known(shipments[place], command):
        return None
    if len(shipments[place].steps) >= MAX_STEPS:
        return Refused("too_many_steps", f"A shipment has at most {MAX_STEPS} steps.")
    draft.add(ShipmentMoved(command.shipment_id, command.step, command.at, draft.now, code=command.code, by=command.by))
    _end_delivery(draft, command.by)
    return None


def _is_known(shipment: Shipment, command: NoteShipment) -> bool:
    """The same news; and a parcel arrives once, whoever says it again with another time."""
    again = command.step == "delivered" and shipment.delivered
    return again or ShipmentStep(command.step, command.at, command.code) in shipment.steps


def _end_delivery(draft: OrderDraft, by: str) -> None:
    state = draft.state
    if state.status == "shipped" and all(shipment.delivered for shipment in state.shipments):
        _deliver(draft, by)


def _deliver(draft: OrderDraft, by: str) -> None:
    """What is paid at the door is paid by this."""
    state = draft.state
    draft.add(OrderDelivered(draft.now, by))
    if state.payment_status == "cash_due":
        draft.add(OrderPaid(state.total, draft.now))
        draft.send("payment", state.id, payment.RecordCash(state.total, state.currency, state.owner))
