"""How many units of a SKU are left reaches the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from actors import stock
from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.flow import Flow, Limits
from pipelines.gathering import Gathering, Versioned
from pipelines.log.base import Happened

NAME = "show_availability"
SECONDS = 0.25
"""How long a number may be kept back so that a busy SKU is written once and not at each hold."""

Event: TypeAlias = (
    stock.StockReceived
    | stock.StockCorrected
    | stock.UnitsHeld
    | stock.HoldWaited
    | stock.UnitsReleased
    | stock.UnitsReturned
)


class ShowsAvailability(Protocol):
    async def note_availabilities(self, notes: Sequence[tuple[str, int, int]]) -> None:
        """(sku, available, version) each; a version lower than the one noted before changes nothing."""
        ...


def show_availability(catalog: ShowsAvailability, clock: Clock | None = None) -> Flow:
    """Stock events -> the catalogue's projection. The version keeps the order, so events go each by itself."""

    async def write(batch: Mapping[str, Versioned[int]]) -> None:
        await catalog.note_availabilities([(sku, note.value, note.version) for sku, note in batch.items()])

    gathering = Gathering(write, clock or SystemClock(), SECONDS)

    async def handle(happened: Happened, event: Event) -> None:
        await gathering.put(happened.entity, happened.version, event.available)

    return Flow(NAME, {"stock": Event.__args__}, handle, ordered=False, limits=Limits(in_flight=1024))
