"""How many units of a SKU are left reaches the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from actors import stock
from pipelines.projection import Projection, Versioned

NAME = "show_availability"

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


def show_availability(catalog: ShowsAvailability) -> Projection[int]:
    """Stock events -> the catalogue's projection; a busy SKU is written a few times a second and not at each hold."""

    async def write(batch: Mapping[str, Versioned[int]]) -> None:
        await catalog.note_availabilities([(sku, note.value, note.version) for sku, note in batch.items()])

    return Projection(NAME, {"stock": Event.__args__}, _available, write)


def _available(event: Event) -> int:
    return event.available
