"""The audit: everything that must be true of a shop (section 3 of the design), over all databases of its data folder.

All streams come in order of their ids and are walked side by side, so memory grows with what is under way and with the
number of SKUs, not with the number of orders.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sqlalchemy import func, select

from actors.journal.tables import records
from actors.kinds import CART, ORDER, PAYMENT, STOCK
from serve.audit.entities import Entities
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.money import Account, Paying, accounts, check_money
from serve.audit.orders import Contacts, Listed, Slots
from serve.audit.owed import Owed
from serve.audit.parcels import check_parcels
from serve.audit.replayed import Replayed
from serve.audit.sales import Reported
from serve.audit.shards import check_shards
from serve.audit.sources import Beside, Sources, opened
from serve.audit.stock import Availability, Bought, check_missing, check_stock
from serve.audit.told import Told
from serve.audit.transactions import Transacted

T = TypeVar("T")
Tell = Callable[[int, int], None]
"""Hears how many steps are done, and of how many."""
STEPS_BETWEEN = 1_000


def audit(folder: Path, tell: Tell = lambda done, of: None, *, booked: bool = True) -> Findings:
    """Looks at everything once. Raises NoShop, and SQLAlchemyError for a database that cannot be read.

    `booked`: the gateway's book is here. Stripe's is not; `troupe reconcile` looks there.
    """
    with opened(folder) as sources:
        return _Audit(sources, tell, booked).run()


class _Audit:
    def __init__(self, sources: Sources, tell: Tell, booked: bool) -> None:
        self._booked = booked
        self._sources = sources
        self._tell = tell
        self._done = 0
        self._steps = 0
        self._findings = Findings()
        self._flows = Flows(sources.flows)
        self._bought = Bought()
        self._slots = Slots(self._findings)
        self._placing: set[str] = set()

    def run(self) -> Findings:
        db, findings = self._sources.journal, self._findings
        count = db.execute(select(func.count()).select_from(records)).scalar_one()
        self._steps = 2 * count
        findings.count("records", count)
        self._flows.report(findings)
        checkpoints = check_shards(db, findings, self._tick)
        owed = Owed(db, checkpoints, findings)
        entities = Entities(db, checkpoints.count, owed, self._flows, findings, self._tick)
        for one in entities.replayed(CART):
            self._take_cart(one)
        self._take_orders(entities)
        self._take_stock(entities)
        owed.check_received()
        self._tell(self._steps, self._steps)
        return findings

    def _tick(self) -> None:
        self._done += 1
        if self._done % STEPS_BETWEEN == 0:
            self._tell(self._done, self._steps)

    def _take_cart(self, one: Replayed) -> None:
        if one.readable:
            self._slots.add(one)
        self._placing.update(sent.entity for sent in one.open_sends if sent.kind == "order")

    def _take_orders(self, entities: Entities) -> None:
        sources, findings = self._sources, self._findings
        listed = Listed(sources.orders, self._flows, findings)
        reported = Reported(sources.orders, self._flows, findings)
        told = Told(sources.notifications, self._flows, findings)
        contacts = Contacts(sources.orders, sources.opened_at, findings)
        transacted = Transacted(sources.payments, self._flows, findings)
        for paying in self._paying(entities):
            if paying.order is not None and paying.order.readable:
                self._bought.add(paying.order)
                for each in (listed, reported, told, contacts, self._slots):
                    each.check(paying.order)
                check_parcels(paying.order, findings)
            if paying.session is not None and paying.session.readable:
                transacted.check(paying.session)
            if all(one is None or one.readable for one in (paying.order, paying.session)):
                check_money(paying, self._flows, findings)
        listed.end()
        reported.end()
        told.end()
        transacted.end()
        self._slots.end(self._placing)

    def _paying(self, entities: Entities) -> Iterator[Paying]:
        """Orders, sessions and the gateway's accounts, joined by their id."""
        strays: list[Replayed | Account] = []
        orders: Beside[Replayed] = Beside(entities.replayed(ORDER), lambda one: one.id, strays.append)
        sessions: Beside[Replayed] = Beside(entities.replayed(PAYMENT), lambda one: one.id, strays.append)
        books: Beside[Account] = Beside(
            accounts(self._sources.gateway if self._booked else None), lambda one: one.session, strays.append
        )
        while True:
            keys = [key for one in (orders, sessions, books) if (key := one.next_key()) is not None]
            if not keys:
                return
            name = min(keys)
            book = _only(books.at(name))
            recent = book is not None and book.changed_at >= self._sources.began
            yield Paying(name, _only(orders.at(name)), _only(sessions.at(name)), book, recent, booked=self._booked)

    def _take_stock(self, entities: Entities) -> None:
        shown = Availability(self._sources.catalog, self._flows, self._findings)
        seen: set[str] = set()
        for one in entities.replayed(STOCK):
            seen.add(one.id)
            if one.readable:
                check_stock(one, self._bought, self._findings)
                shown.check(one)
        shown.end()
        check_missing(seen, self._bought, self._findings)


def _only(found: list[T]) -> T | None:
    return found[0] if found else None
