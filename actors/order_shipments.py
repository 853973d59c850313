"""What is on its way of an order: shipments, what the carrier said of each, and what has yet to leave.

Days are ISO dates, times UTC milliseconds. No shipment says in words who took it: what is personal is not kept here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

ShipmentStepName: TypeAlias = Literal["handed_over", "in_transit", "out_for_delivery", "delivered", "exception"]

MAX_SHIPMENTS = 50
"""Of one order."""

MAX_STEPS = 100
"""Of one shipment."""


class ShipmentStep(msgspec.Struct, frozen=True):
    """`at`: when it happened. `code`: the carrier's word for it, such as why it could not be delivered."""

    step: ShipmentStepName
    at: int
    code: str = ""


class Shipment(msgspec.Struct, frozen=True):
    """A parcel. `lines`: its units by SKU. `expected_on`: the day on which it should arrive.

    One from before there could be several has neither an id nor lines: it is all of its order.
    """

    carrier: str
    tracking: str
    id: str = ""
    url: str = ""
    expected_on: str = ""
    lines: dict[str, int] = {}
    steps: tuple[ShipmentStep, ...] = ()

    @property
    def delivered(self) -> bool:
        return any(step.step == "delivered" for step in self.steps)

    @property
    def status(self) -> ShipmentStepName:
        """The last step by its own time; but what was delivered stays so, whatever is told later."""
        if self.delivered or not self.steps:
            return "delivered" if self.delivered else "handed_over"
        return self.steps[-1].step


def with_step(shipment: Shipment, step: ShipmentStep) -> Shipment:
    """News may come late: steps are kept in the order of their times."""
    steps = sorted((*shipment.steps, step), key=lambda one: one.at)
    return msgspec.structs.replace(shipment, steps=tuple(steps))


def delivered_at(shipment: Shipment, at: int) -> Shipment:
    return shipment if shipment.delivered else with_step(shipment, ShipmentStep("delivered", at))


def place_of(shipments: Iterable[Shipment], shipment_id: str) -> int | None:
    """Its place among the order's; None if there is no such shipment. They are numbered from 1."""
    for place, shipment in enumerate(shipments):
        if (shipment.id or str(place + 1)) == shipment_id:
            return place
    return None


def units_left(wanted: Mapping[str, int], shipments: Iterable[Shipment]) -> dict[str, int]:
    """What has yet to leave, by SKU, of what is to leave in the end."""
    left = dict(wanted)
    for shipment in shipments:
        for sku, units in shipment.lines.items():
            left[sku] = left.get(sku, 0) - units
    return {sku: units for sku, units in left.items() if units > 0}
