"""The database servers that a simulated shop keeps its records on: one for all kinds or, on servers, two."""

from collections.abc import Callable, Mapping
from random import Random

from actors.kinds import CART, KINDS
from actors.runtime.kind import Kind
from tests.simulation.clock import EPOCH
from tests.simulation.database import Database
from tests.simulation.documents import DocumentJournal
from tests.simulation.journal import SimulatedJournal, Trouble


class Keeper:
    """One server with a clock and troubles of its own. `documents`: it is one of documents.

    `offset`: milliseconds that its clock is ahead. `time`: seconds of virtual time.
    """

    def __init__(self, kinds: Mapping[str, Kind], longest: float, time: Callable[[], float], documents: bool) -> None:
        self.kinds = dict(kinds)
        self.name = f"the database of {', '.join(kinds)}"
        self.trouble = Trouble(longest)
        self.offset = 0
        self.database = Database(lambda: EPOCH + self.offset + int(time() * 1000))
        self._connection = DocumentJournal if documents else SimulatedJournal

    def connect(self, chance: Random) -> SimulatedJournal:
        return self._connection(self.database, self.trouble, chance)


def keepers_of(servers: bool, longest: float, time: Callable[[], float]) -> list[Keeper]:
    """`longest`: seconds that half a call may take. As `serve.journals` has it: carts are documents."""
    if not servers:
        return [Keeper(KINDS, longest, time, documents=False)]
    others = {name: kind for name, kind in KINDS.items() if name != CART.name}
    return [
        Keeper(others, longest, time, documents=False),
        Keeper({CART.name: CART}, longest, time, documents=True),
    ]
