"""How far the flows have come, and what of an entity's events they have still to handle."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from actors import order
from pipelines import (
    keep_transactions,
    list_orders,
    open_payments,
    report_sales,
    send_mails,
    settle_orders,
    show_availability,
)
from pipelines.log.base import Happened
from pipelines.progress_tables import DEAD_LETTERS, INBOX, POSITIONS
from serve.audit.findings import Findings
from serve.audit.kafka_tails import BEHIND
from serve.audit.sources import has_table

READS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    open_payments.NAME: {"order": (order.OrderPlaced,)},
    settle_orders.NAME: {"payment": settle_orders.Event.__args__},
    list_orders.NAME: {"order": list_orders.Event.__args__},
    report_sales.NAME: {"order": report_sales.Event.__args__},
    keep_transactions.NAME: {"payment": keep_transactions.Event.__args__},
    show_availability.NAME: {"stock": show_availability.Event.__args__},
    send_mails.NAME: {"order": send_mails.Event.__args__},
}


class Seen(NamedTuple):
    """An event of the journal, decoded."""

    happened: Happened
    event: Any


class Flows:
    """Each flow's position as it was before the journal was opened: what it says is handled has been."""

    def __init__(self, db: Connection | None) -> None:
        self._positions: dict[str, int] = {}
        self._ahead: dict[str, set[str]] = {}
        self._letters: dict[str, dict[str, str]] = {}
        self._behind: set[tuple[str, str]] = set()
        if db is None:
            return
        for flow, position in db.execute(select(POSITIONS.c.flow, POSITIONS.c.position)):
            self._positions[flow] = position
        if has_table(db, BEHIND.name):
            self._behind = {(flow, event_id) for flow, event_id in db.execute(select(BEHIND))}
        for flow, event_id in db.execute(select(INBOX.c.flow, INBOX.c.event_id)):
            self._ahead.setdefault(flow, set()).add(event_id)
        columns = (DEAD_LETTERS.c.flow, DEAD_LETTERS.c.event_id, DEAD_LETTERS.c.error)
        for flow, event_id, error in db.execute(select(*columns)):
            self._letters.setdefault(flow, {})[event_id] = error

    def report(self, findings: Findings) -> None:
        """Every dead letter: nobody handles it until somebody asks."""
        for flow, letters in self._letters.items():
            for event_id, error in letters.items():
                findings.broken(f"The flow {flow} has given up on event {event_id}: {error.splitlines()[0][:200]}.")

    def wants(self, flow: str, seen: Seen) -> bool:
        return isinstance(seen.event, READS[flow].get(seen.happened.kind, ()))

    def pending(self, flow: str, seen: Seen) -> bool:
        """The flow reads such events and may not have handled this one yet."""
        happened = seen.happened
        if not self.wants(flow, seen):
            return False
        if happened.position <= self._positions.get(flow, 0):
            return (flow, happened.id) in self._behind
        return happened.id not in self._ahead.get(flow, ())

    def handled(self, flow: str, seen: Seen) -> bool:
        """The flow has handled it for certain; a dead letter was not handled."""
        return (
            self.wants(flow, seen)
            and not self.pending(flow, seen)
            and seen.happened.id not in self._letters.get(flow, ())
        )

    def handled_of(self, flow: str, events: Iterable[Seen]) -> list[Seen]:
        """Those of an entity's events that the flow wants; none unless it has handled all of them."""
        wanted = [seen for seen in events if self.wants(flow, seen)]
        return wanted if all(self.handled(flow, seen) for seen in wanted) else []

    def note_pending(self, seen: Seen, findings: Findings) -> bool:
        """Tells of every flow that has yet to handle the event; whether there is one that others wait for."""
        busy = False
        for flow in READS:
            if self.pending(flow, seen):
                findings.waits(f"events that the flow {flow} has not handled", seen.happened.id)
                busy = busy or flow in (open_payments.NAME, settle_orders.NAME)
        return busy
