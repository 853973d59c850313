"""What staff changed: rows that are added and never altered, in a database of their own."""

import asyncio
import json
from typing import Any, NamedTuple

import sqlalchemy as sa

from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import BIG, LONG_TEXT, insert_missing
from serve.databases import SharedTransactions, open_engine

METADATA = metadata_of("audit")
CHANGES = sa.Table(
    "staff_changes",
    METADATA,
    sa.Column("number", BIG, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(160), nullable=False),
    sa.Column("method", sa.String(8), nullable=False),
    sa.Column("path", sa.String(500), nullable=False),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("before", LONG_TEXT),
    sa.Index("staff_changes_by_who", "who", "number"),
    sa.Index("staff_changes_by_path", "path", "number"),
    sa.Index("staff_changes_by_time", "at"),
    sqlite_autoincrement=True,
)
OUTCOMES = sa.Table(
    "staff_outcomes",
    METADATA,
    sa.Column("number", BIG, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("after", LONG_TEXT),
)
_SAID = "what staff changed is not altered"
_REFUSALS = {
    "sqlite": f"BEGIN SELECT RAISE(ABORT, '{_SAID}'); END",
    "mysql": f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{_SAID}'",
}


def refusals(dialect: str) -> list[str]:
    """The triggers of `METADATA` that keep its rows as they are."""
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} {_REFUSALS[dialect]}"
        for table in (CHANGES.name, OUTCOMES.name)
        for verb in ("UPDATE", "DELETE")
    ]


@sa.event.listens_for(METADATA, "after_create")
def _refuse(_: sa.MetaData, connection: sa.Connection, **__: Any) -> None:
    """Also where the tables are there already: who made them may have broken off before the triggers."""
    for trigger in refusals(connection.dialect.name):
        connection.exec_driver_sql(trigger)


class Change(NamedTuple):
    """`status`: the HTTP status it ended with; None: its end was not seen. Times: UTC in milliseconds."""

    number: int
    at: int
    who: str
    method: str
    path: str
    request_id: str
    status: int | None
    before: Any
    after: Any


class Wanted(NamedTuple):
    """`path`: this one and those below it. `since` and `until`: times, both included. `before`: numbers below it."""

    who: str | None = None
    path: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None


class ChangeStore:
    """`url`: an SQLAlchemy address."""

    def __init__(self, url: str) -> None:
        # One connection writes, one reads pages, and one more so that neither waits.
        self._engine = open_engine(url, METADATA, 3)
        self._reading = self._engine.execution_options(writes=False)
        self._writes = SharedTransactions(self._engine, "changes-write")

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)

    async def began(self, at: int, who: str, method: str, path: str, request_id: str, before: Any) -> int:
        """The change's number, once it is on the disk. Raises OutcomeUnknown: it may stand there, under a number."""
        row = {"at": at, "who": who, "method": method, "path": path, "request_id": request_id, "before": _text(before)}

        def add(db: sa.Connection) -> int:
            key = db.execute(CHANGES.insert().values(row)).inserted_primary_key
            assert key is not None
            return int(key[0])

        return await self._writes.run(add, again=False)

    async def ended(self, number: int, at: int, status: int, after: Any) -> None:
        row = {"number": number, "at": at, "status": status, "after": _text(after)}

        def add(db: sa.Connection) -> None:
            insert_missing(db, OUTCOMES, [row])

        await self._writes.run(add)

    async def page(self, wanted: Wanted, limit: int) -> list[Change]:
        """Newest first."""
        return await asyncio.to_thread(self._page, wanted, limit)

    def _page(self, wanted: Wanted, limit: int) -> list[Change]:
        found = (
            sa.select(CHANGES, OUTCOMES.c.status, OUTCOMES.c.after)
            .select_from(CHANGES.outerjoin(OUTCOMES, OUTCOMES.c.number == CHANGES.c.number))
            .order_by(CHANGES.c.number.desc())
            .limit(limit)
        )
        if wanted.who is not None:
            found = found.where(CHANGES.c.who == wanted.who)
        if wanted.path is not None:
            below = CHANGES.c.path.startswith(f"{wanted.path.rstrip('/')}/", autoescape=True)
            found = found.where(sa.or_(CHANGES.c.path == wanted.path, below))
        if wanted.since is not None:
            found = found.where(CHANGES.c.at >= wanted.since)
        if wanted.until is not None:
            found = found.where(CHANGES.c.at <= wanted.until)
        if wanted.before is not None:
            found = found.where(CHANGES.c.number < wanted.before)
        with self._reading.begin() as db:
            return [
                Change(
                    row.number,
                    row.at,
                    row.who,
                    row.method,
                    row.path,
                    row.request_id,
                    row.status,
                    _value(row.before),
                    _value(row.after),
                )
                for row in db.execute(found)
            ]


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
