"""Payment transactions beside the payment sessions: exactly the rows that the events of each session make."""

from typing import Any

from sqlalchemy import Connection, select

from pipelines import keep_transactions
from pipelines.keep_transactions import Session, Transaction, followed
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, stream
from serve.payments.transactions import transactions


class Transacted:
    """The rows in order of their sessions."""

    def __init__(self, db: Connection | None, flows: Flows, findings: Findings) -> None:
        self._flows = flows
        self._findings = findings
        columns = transactions.c
        query = select(*(columns[name] for name in Transaction._fields))
        query = query.order_by(columns.session, columns.version, columns.number)
        rows = stream(db, query) if db is not None else iter(())
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.session), self._stray)

    def check(self, one: Replayed) -> None:
        """A session: its rows, and how much they say that it has."""
        found = {row.event_id: Transaction(*row) for row in self._rows.at(one.id)}
        self._findings.count("payment transactions", len(found))
        session = Session()
        for seen in one.events:
            if not self._flows.wants(keep_transactions.NAME, seen):
                continue
            session, wanted = followed(session, seen.happened, seen.event)
            if wanted is None:
                continue
            row = found.pop(wanted.event_id, None)
            if row is None:
                if self._flows.handled(keep_transactions.NAME, seen):
                    self._findings.broken(
                        f"The {wanted.kind} of session {one.id} is not among the payment transactions: "
                        f"event {wanted.event_id}."
                    )
            elif row != wanted:
                self._differs(row, wanted)
        for row in found.values():
            self._stray(row)

    def end(self) -> None:
        self._rows.end()

    def _differs(self, row: Transaction, wanted: Transaction) -> None:
        for name, there, expected in zip(Transaction._fields, row, wanted, strict=True):
            if there != expected:
                self._findings.broken(
                    f"The payment transactions have the {name} {there!r} of the {wanted.kind} of session "
                    f"{wanted.session}: {expected!r}."
                )

    def _stray(self, row: Any) -> None:
        self._findings.broken(
            f"There is a payment transaction of session {row.session}, a {row.kind} of {row.amount}, and event "
            f"{row.event_id} makes none."
        )
