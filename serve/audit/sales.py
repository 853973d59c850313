"""The sales that reports are made of beside the orders: exactly what the events of each order tell."""

from functools import reduce
from typing import Any

from sqlalchemy import Connection, select

from pipelines import report_sales
from pipelines.report_sales import Sale, merged, told
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, has_table, stream
from serve.orders.sales import Row, row_of
from serve.orders.tables import sales


class Reported:
    """The sales, in order of their orders."""

    def __init__(self, db: Connection | None, flows: Flows, findings: Findings) -> None:
        self._flows = flows
        self._findings = findings
        columns = (sales.c[name] for name in Row._fields)
        # A shop from before there were reports has no such table.
        there = db is not None and has_table(db, sales.name)
        rows = stream(db, select(*columns).order_by(sales.c.order_id)) if db is not None and there else iter(())
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.order_id), self._stray)

    def check(self, one: Replayed) -> None:
        """That reports have the order as it is, if the flow has handled all that happened to it."""
        row = next(iter(self._rows.at(one.id)), None)
        events = self._flows.handled_of(report_sales.NAME, one.events)
        if not events:
            return
        if row is None:
            self._findings.broken(f"Order {one.id} is in no report of sales.")
            return
        tale = reduce(merged, (told(seen.event) for seen in events))
        wanted = row_of(Sale(one.id, events[-1].happened.place, tale))
        for name, there, expected in zip(Row._fields, row, wanted, strict=True):
            if there != expected:
                self._findings.broken(f"The sales have the {name} {there!r} of order {one.id}: {expected!r}.")

    def end(self) -> None:
        self._rows.end()

    def _stray(self, row: Any) -> None:
        self._findings.broken(f"The sales have order {row.order_id}, which never was.")
