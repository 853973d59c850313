"""People are told nothing twice: what they were told stands in rows, and what they were spared gets one.

Over Kafka all flows begin with the first event of all. For most that is harmless, since what follows from an event is
there already. A mail or notice may lack a row that remembers it: its kind was turned off then, a notice was deleted for
its age, or the kind came later than the event. Such rows are added here, of nobody, for each event that the old shop's
flows were done with. What they had still to tell is told on the servers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from actors import order
from actors.journal.tables import records
from actors.runtime.wire import Record
from pipelines import notify_users, send_mails
from pipelines.events import users
from pipelines.log.base import Happened
from pipelines.log.cloud_events import events_of
from pipelines.progress_tables import INBOX, POSITIONS
from pipelines.wanted import Types
from serve.databases import pages
from serve.migrating.source import Source
from serve.notifications.kinds import RULES, Kind
from serve.notifications.mail_channel import row_id
from serve.notifications.notices import notice_id_of
from serve.notifications.tables import MAILS, NOTICES
from serve.users.tables import outbox


class _Told(NamedTuple):
    event_id: str
    kind: Kind


def remember(source: Source, target: sa.Engine, now: int) -> int:
    """Adds the rows that are lacking; how many. `now`: UTC in milliseconds."""
    added = 0
    for told in _all_told(source):
        added += _added(told, target, now)
    return added


def remember_orders(journal: sa.Connection, before: int, target: sa.Engine, now: int) -> int:
    """As `remember`, for flows that begin anew on the same servers: what happened to orders before a time was told."""
    return sum(_added(told, target, now) for told in _told_of_orders(journal, lambda happened: happened.at < before))


def _added(told: list["_Told"], target: sa.Engine, now: int) -> int:
    with target.begin() as writing:
        return _add_missing(writing, told, now)


def _all_told(source: Source) -> Iterator[list[_Told]]:
    yield from _told_of_orders(source.journal, _Done(source.flows, send_mails.NAME))
    if "users" not in source.copied:
        return
    done = _Done(source.flows, notify_users.NAME)
    types = Types({users.KIND: notify_users.Event.__args__})
    for page in pages(source.copied["users"], sa.select(outbox).order_by(outbox.c.position)):
        happened = (
            Happened(r["position"], r["kind"], r["entity"], r["version"], r["number"], r["at"], r["event"])
            for r in page
        )
        yield list(_of(happened, done, types, of_user))


def _told_of_orders(journal: sa.Connection, done: Callable[[Happened], bool]) -> Iterator[list[_Told]]:
    types = Types({"order": send_mails.Event.__args__})
    for page in pages(journal, sa.select(records).where(records.c.kind == "order").order_by("position")):
        events = (one for row in page for one in events_of(*_record(row)))
        yield list(_of(events, done, types, of_order))


def _record(row: dict[str, Any]) -> tuple[Record, int]:
    position = row.pop("position")
    return Record(**row), position


def _of(
    events: Iterable[Happened], done: Callable[[Happened], bool], types: Types, kinds: Callable[[Any], Iterable[Kind]]
) -> Iterator[_Told]:
    for happened in events:
        event = types.decode(happened)
        if event is not None and not isinstance(event, Exception) and done(happened):
            for kind in kinds(event):
                yield _Told(happened.id, kind)


def of_order(event: send_mails.Event) -> list[Kind]:
    """All that an event may make. Of an order's view only a delivery takes notice."""
    if isinstance(event, order.OrderDelivered):
        return ["order_delivered", "receipt"]
    return [kind for kind, _ in send_mails.due(event, cast(order.OrderView, None))]


def of_user(event: notify_users.Event) -> list[Kind]:
    found = notify_users.due(event)
    return [] if found is None else [found[0]]


class _Done:
    """Which events a flow is done with."""

    def __init__(self, flows: sa.Connection | None, flow: str) -> None:
        self._position = 0
        self._ahead: frozenset[str] = frozenset()
        if flows is not None:
            self._position = flows.scalar(sa.select(POSITIONS.c.position).where(POSITIONS.c.flow == flow)) or 0
            self._ahead = frozenset(flows.scalars(sa.select(INBOX.c.event_id).where(INBOX.c.flow == flow)))

    def __call__(self, happened: Happened) -> bool:
        return happened.position <= self._position or happened.id in self._ahead


def _add_missing(writing: sa.Connection, told: list[_Told], now: int) -> int:
    mails = {row_id(*one): one for one in told if "mail" in RULES[one.kind].channels}
    notices = {notice_id_of(*one): one for one in told if "notice" in RULES[one.kind].channels}
    added = _missing(writing, MAILS.c.message_id, mails)
    if added:
        rows = [
            {
                "message_id": one,
                "event_id": mails[one].event_id,
                "template": mails[one].kind,
                "order_id": "",
                "owner": "",
                "ends_at": 0,
                "outcome": "lapsed",
                "sendings": 0,
                "created_at": now,
                "ended_at": now,
            }
            for one in added
        ]
        writing.execute(MAILS.insert(), rows)
    unseen = _missing(writing, NOTICES.c.id, notices)
    if unseen:
        blank = {"owner": "", "order_id": "", "currency": "", "facts": "{}", "created_at": now, "read_at": now}
        writing.execute(NOTICES.insert(), [{**blank, "id": one, "kind": notices[one].kind} for one in unseen])
    return len(added) + len(unseen)


def _missing(connection: sa.Connection, key: sa.Column[Any], wanted: Iterable[str]) -> list[str]:
    ids = list(wanted)
    if not ids:
        return []
    there = set(connection.scalars(sa.select(key).where(key.in_(ids))))
    return [one for one in ids if one not in there]
