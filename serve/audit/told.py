"""What people were told of their orders: exactly the mails that their events make, once each, and the texts so, too."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection, select

from actors import order
from pipelines import send_mails
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.sources import Beside, has_table, stream
from serve.notifications.kinds import RULES
from serve.notifications.tables import ERASED, MAILS, TEXTS, TURNED_ON

About: TypeAlias = tuple[str, str]
"""An event's id and a template."""
ERASING_MS = 300_000
"""A text that is begun while its person is erased may have an earlier time than it is written at, and so may that."""


class Words(NamedTuple):
    many: str
    done: str
    unwanted: str


_MAILED = Words("mails", "mailed", "mails that nobody wanted")
_TEXTED = Words("texts", "texted", "texts that nobody asked for")


class Told:
    """Beside the orders, in order of id.

    A shop has texts or not, by its settings of then. One process sends both under one name: of an event whose mail it
    sent it owed a text, too, if it ever wrote one.
    """

    def __init__(self, db: Connection | None, flows: Flows, findings: Findings) -> None:
        has_texts = db is not None and has_table(db, TEXTS.name)  # none in a shop from before there were any
        self._flows = flows
        self._mails = _Sendings(db, MAILS, _MAILED, findings)
        self._texts = _Sendings(db if has_texts else None, TEXTS, _TEXTED, findings)
        self._asked = _Asked(db, findings) if db is not None and has_texts else None
        senders = select(TEXTS.c.sender).where(TEXTS.c.sender.is_not(None)).distinct()
        self._texters = set(db.scalars(senders)) if db is not None and has_texts else set()

    def check(self, one: Replayed) -> None:
        handled = self._due(one)
        mailed = self._mails.check(one.id, handled)
        owed = {
            about: done and about in mailed and mailed[about].sender in self._texters
            for about, done in handled.items()
            if "text" in RULES[about[1]].channels  # type: ignore[index]  # it is of an event
        }
        texted = self._texts.check(one.id, owed)
        if self._asked is not None:
            for row in texted.values():
                self._asked.check(row)

    def end(self) -> None:
        self._mails.end()
        self._texts.end()

    def _due(self, one: Replayed) -> dict[About, bool]:
        """Each mail that an event makes, and whether the flow says that it has seen to it."""
        view = order.view(one.state)
        due: dict[About, bool] = {}
        for seen in one.events:
            if self._flows.wants(send_mails.NAME, seen):
                handled = self._flows.handled(send_mails.NAME, seen)
                for template, _ in send_mails.due(seen.event, view):
                    due[seen.happened.id, template] = handled
        return due


class _Sendings:
    """One of the tables that `serve.notifications.tables.sendings` makes."""

    def __init__(self, db: Connection | None, table: sa.Table, words: Words, findings: Findings) -> None:
        self._words = words
        self._findings = findings
        about_orders = select(table).where(table.c.order_id != "").order_by(table.c.order_id)
        rows = stream(db, about_orders) if db is not None else iter(())
        self._rows: Beside[Any] = Beside(rows, lambda row: str(row.order_id), self._stray)

    def check(self, order_id: str, due: Mapping[About, bool]) -> dict[About, Any]:
        """The rows of an order. `due`: what may be there, and whether it has to be."""
        sent: dict[About, Any] = {}
        found, done = self._rows.at(order_id), self._words.done
        for row in found:
            about = (row.event_id, row.template)
            if about in sent:
                self._findings.broken(f"The {row.template} of order {order_id} was {done} twice: event {row.event_id}.")
            sent[about] = row
            self._check_outcome(row)
        if found:
            self._findings.count(self._words.many, len(found))
        for _, template in sent.keys() - due.keys():
            self._findings.broken(
                f"The {template} of order {order_id} was {done}, and nothing happened that makes one."
            )
        for about, owed in due.items():
            if about not in sent and owed:
                self._findings.broken(f"The {about[1]} of order {order_id} was never {done}: event {about[0]}.")
        return sent

    def end(self) -> None:
        self._rows.end()

    def _check_outcome(self, row: Any) -> None:
        many = self._words.many
        if row.outcome is None:
            self._findings.waits(f"{many} that are being sent", f"{row.template} of order {row.order_id}")
        elif row.outcome == "turned_off":
            self._findings.count(self._words.unwanted)
        elif row.outcome != "sent":
            self._findings.count(f"{many} that could not be delivered ({row.outcome})")

    def _stray(self, row: Any) -> None:
        what = f"The {row.template} of order {row.order_id} was {self._words.done}"
        self._findings.broken(f"{what}; there is no such order.")


class _Asked:
    """Whether somebody asked for a text.

    What people want is kept as it is now: who does not want a text that was sent may have wanted it then, and is only
    counted. Who was erased before wanted nothing any more.
    """

    def __init__(self, db: Connection, findings: Findings) -> None:
        self._db = db
        self._findings = findings

    def check(self, row: Any) -> None:
        if row.outcome == "turned_off":
            return
        names = (row.owner, f"order:{row.order_id}")
        before = row.created_at - ERASING_MS
        erased = select(ERASED.c.owner).where(ERASED.c.owner.in_(names), ERASED.c.erased_at < before)
        if self._db.execute(erased).first() is not None:
            what = f"The {row.template} of order {row.order_id} was texted"
            self._findings.broken(f"{what} to somebody who had been erased: event {row.event_id}.")
        wish = (TURNED_ON.c.owner == row.owner, TURNED_ON.c.kind == row.template, TURNED_ON.c.channel == "text")
        if self._db.execute(select(TURNED_ON.c.owner).where(*wish)).first() is None:
            self._findings.count("texts to who wants none by now")
