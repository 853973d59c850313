"""Which records follow from which, by the ids of their commands: nothing is shown as a consequence that is not one.

A command's id tells where it comes from. A client's (`c:`) is made of who asks, where, and the key; a flow's (`c:`) of
its event. A message's (`m:`) names the record of its sender; an answer from outside (`e:`) and a timer (`t:`) name the
record that asked for it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pipelines.flow import command_id
from pipelines.log.base import Happened
from serve.tour.places import Place, in_the_databases, name_of
from serve.tour.records import Stored

COMMANDS_OF_A_FLOW = 4
"""How many commands to one entity a flow may make of one event, at most."""
Key = tuple[str, str, int]


class Cause(NamedTuple):
    """`how` in words; `parent`: the record that it follows from, None for what came from outside the journal."""

    how: str
    parent: Key | None


class Hop(NamedTuple):
    """A record and why it was written."""

    record: Stored
    cause: Cause


class Causes:
    """Takes in the journal as it grows and keeps what follows from the requests that it was told of."""

    def __init__(
        self, flows: Callable[[], Iterable[str]], place: Callable[[Happened], Place | None] = in_the_databases
    ) -> None:
        """`flows`: the names of those that run, asked at each look. `place`: where an event stands that they read."""
        self._flows = flows
        self._place = place
        self._asked: set[str] = set()
        self._records: dict[Key, Stored] = {}
        self._by_flows: dict[str, tuple[str, Happened, Key | None]] = {}
        self._entities: set[tuple[str, str]] = set()
        self._due: set[tuple[str, str, str]] = set()
        self._arrived: set[tuple[str, str, str]] = set()

    def expect(self, command: str) -> None:
        """A request is about to be made whose command has this id."""
        self._asked.add(command)

    def tell(self, events: Iterable[Happened]) -> None:
        """Events of a request that are in no journal: of a service that is tables."""
        for happened in events:
            self._note_event(happened, None)

    @property
    def waiting(self) -> bool:
        """Whether something was sent or asked for, and no record tells yet that it arrived or was answered."""
        return bool(self._due - self._arrived)

    def take(self, records: Sequence[Stored]) -> list[Hop]:
        """Those that follow from the requests, in order; others are passed over, and may be given again later."""
        hops = []
        for record in records:
            cause = self._cause(record)
            if cause is None:
                continue
            key = (record.kind, record.entity, record.version)
            self._records[key] = record
            if record.kind != "stock":
                self._entities.add((record.kind, record.entity))
            self._note_work(record)
            for happened in record.events:
                self._note_event(happened, key)
            hops.append(Hop(record, cause))
        return hops

    def _note_event(self, happened: Happened, parent: Key | None) -> None:
        for flow in self._flows():
            for index in range(COMMANDS_OF_A_FLOW):
                self._by_flows[command_id(flow, happened, index)] = flow, happened, parent

    def _note_work(self, record: Stored) -> None:
        name = f"{record.kind}/{record.entity}/{record.version}"
        for index, sent in enumerate(record.body.sends):
            self._due.add((sent.kind, sent.entity, f"m:{name}/{index}"))
        for index in range(len(record.body.effects)):
            self._due.add((record.kind, record.entity, f"e:{record.version}/{index}"))
        self._arrived.add((record.kind, record.entity, record.command_id))

    def _cause(self, record: Stored) -> Cause | None:
        sort, _, rest = record.command_id.partition(":")
        if sort in ("m", "e", "t"):
            return self._follows(record, sort, rest)
        if rest in self._asked:
            return Cause("the request", None)
        if rest in self._by_flows:
            flow, happened, parent = self._by_flows[rest]
            place = self._place(happened)
            return None if place is None else Cause(f"{flow} read {name_of(happened.event)} at {place.text}", parent)
        if (record.kind, record.entity) in self._entities:
            # A payment gateway's webhook, a browser that comes back: they bring no key that could be told from here.
            return Cause("a command from outside, not named by the tour", None)
        return None

    def _follows(self, record: Stored, sort: str, rest: str) -> Cause | None:
        if sort == "t":
            version, _, name = rest.partition("/")
            return self._within(record, version, f"its timer {name}")
        if sort == "e":
            version, _, index = rest.partition("/")
            parent = self._records.get((record.kind, record.entity, int(version)))
            if parent is None:
                return None
            return self._within(record, version, f"answer to {name_of(parent.body.effects[int(index)])}")
        sender, version, index = rest.rsplit("/", 2)
        kind, _, entity = sender.partition("/")
        key = (kind, entity, int(version))
        if key not in self._records:
            return None
        sent = self._records[key].body.sends[int(index)]
        return Cause(f"{name_of(sent.message)} from {kind}", key)

    def _within(self, record: Stored, version: str, how: str) -> Cause | None:
        key = (record.kind, record.entity, int(version))
        return Cause(how, key) if key in self._records else None
