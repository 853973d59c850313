"""Parcels: what left of an order was its own to send when it left, and an order that has left has left whole."""

from actors import order
from serve.audit.findings import Findings
from serve.audit.replayed import Replayed


def check_parcels(one: Replayed, findings: Findings) -> None:
    """An order, as it was at each parcel: what is refunded later was to leave all the same."""
    if not one.state.shipments:
        return
    state = order.initial(one.id)
    for seen in one.events:
        left = state.to_ship
        state = order.apply(state, seen.event)
        match seen.event:
            case order.ShipmentAdded(shipment_id=parcel, lines=lines):
                findings.count("parcels")
                for sku, units in lines.items():
                    most = left.get(sku, 0)
                    if not 0 < units <= most:
                        findings.broken(
                            f"Parcel {parcel} of order {one.id} has {units} of {sku}; {most} had yet to leave."
                        )
            case order.OrderShipped(shipment_id=parcel) if parcel:
                for sku, units in left.items():
                    findings.broken(f"Order {one.id} is shipped with parcel {parcel}, and {units} of {sku} never left.")
