"""How far each flow has come: its position, what it handled beyond that, and what it could not handle."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

from pipelines.log.base import Happened
from pipelines.positions import Place, Positions
from pipelines.progress_tables import DEAD_LETTERS, INBOX, METADATA, POSITIONS, bring_up_to_date
from pipelines.sql.mysql import open_mysql
from pipelines.sql.retrying import retried
from pipelines.sql.revisions import prepare
from pipelines.sql.words import insert_missing

T = TypeVar("T")


class DeadLetter(NamedTuple):
    """An event that a flow gave up on, or that stands behind one. `wanted`: somebody asked for another try.

    `attempts`: how often it failed for a reason that does not pass; 0 for one that was never tried.
    """

    happened: Happened
    error: str
    buried_at: int
    wanted: bool = False
    attempts: int = 0


class Reached(NamedTuple):
    """All events up to `position` are done with, and those beyond it whose ids are in `ahead`.

    `blocked`: the entities (kind, id) with dead letters.
    """

    position: int
    ahead: frozenset[str]
    blocked: frozenset[tuple[str, str]]


class Standing(NamedTuple):
    """How far a flow has come by what is saved, and how many dead letters it has."""

    flow: str
    position: int
    letters: int


class Progress(Protocol):
    """Times are UTC in milliseconds."""

    async def load(self, flow: str) -> Reached: ...

    async def save(self, flow: str, position: int, ahead: Iterable[Happened]) -> None:
        """Replaces what was saved; a position lower than the saved one changes nothing."""
        ...

    async def bury(self, flow: str, letter: DeadLetter) -> None:
        """Once by event id; a repetition renews the error, ends that it is wanted and adds its attempts."""
        ...

    async def wanted(self, flow: str, ordered: bool) -> list[DeadLetter]:
        """Letters to try again, in order of position.

        Of an ordered flow all letters of each entity whose first is wanted, and none of others.
        """
        ...

    async def exhume(self, flow: str, event_id: str) -> None:
        """The letter was handled after all."""
        ...


CONNECTIONS = 8
"""On MySQL; each is made when it is first needed."""


class SqlProgress:
    """Progress in a SQL database. `url`: an SQLAlchemy address, ``sqlite:///data/flows.db``.

    What is written may be written again. `metadata`: the tables of the database, if it has others too.
    """

    def __init__(self, url: str, metadata: sa.MetaData = METADATA) -> None:
        if url.startswith("mysql"):
            self._engine = open_mysql(url, CONNECTIONS)
        else:
            self._engine = sa.create_engine(url, hide_parameters=True)
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
        self._reading = self._engine.execution_options(writes=False)
        prepare(self._engine, metadata, bring_up_to_date)
        self._positions = Positions(self._engine)

    async def load(self, flow: str) -> Reached:
        return await asyncio.to_thread(self._load, flow)

    async def save(self, flow: str, position: int, ahead: Iterable[Happened]) -> None:
        await self._positions.save(Place(flow, position, [(one.id, one.position) for one in ahead]))

    async def bury(self, flow: str, letter: DeadLetter) -> None:
        await asyncio.to_thread(self._bury, flow, letter)

    async def wanted(self, flow: str, ordered: bool) -> list[DeadLetter]:
        letters = await self.letters(flow)
        if not ordered:
            return [letter for letter in letters if letter.wanted]
        first = {_entity(letter): letter for letter in reversed(letters)}
        return [letter for letter in letters if first[_entity(letter)].wanted]

    async def letters(self, flow: str) -> list[DeadLetter]:
        """All dead letters of a flow, for people."""
        return await asyncio.to_thread(self._letters, flow)

    async def all_letters(self) -> list[tuple[str, DeadLetter]]:
        """Those of all flows, each with the name of its flow."""
        flows = sa.select(DEAD_LETTERS.c.flow).distinct().order_by(DEAD_LETTERS.c.flow)
        names = await self._write(lambda db: list(db.scalars(flows)))
        return [(name, letter) for name in names for letter in await self.letters(name)]

    async def standings(self) -> list[Standing]:
        """Of every flow that has saved anything, by name."""
        return await asyncio.to_thread(self._standings)

    async def exhume(self, flow: str, event_id: str) -> None:
        where = (DEAD_LETTERS.c.flow == flow) & (DEAD_LETTERS.c.event_id == event_id)
        await self._write(lambda db: db.execute(DEAD_LETTERS.delete().where(where)))

    async def want(self, flow: str, entity: str | None = None) -> int:
        """Ask for another try of a flow's dead letters (see `_of`), of one entity or all; how many there are."""
        where = _of(flow)
        if entity is not None:
            where &= DEAD_LETTERS.c.entity == entity
        return await self._write(lambda db: _want(db, where))

    async def want_beside(self, flow: str, event_id: str) -> int:
        """As `want`, of the entity of one event: none can go without those before it. 0: it is no dead letter."""
        letters = DEAD_LETTERS.c
        one = sa.select(letters.kind, letters.entity).where(_of(flow), letters.event_id == event_id)

        def work(db: sa.Connection) -> int:
            found = db.execute(one).first()
            if found is None:
                return 0
            return _want(db, sa.and_(_of(flow), letters.kind == found.kind, letters.entity == found.entity))

        return await self._write(work)

    async def close(self) -> None:
        await self._positions.close()
        await asyncio.to_thread(self._engine.dispose)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return await asyncio.to_thread(self._written, work)

    def _written(self, work: Callable[[sa.Connection], T]) -> T:
        def transaction() -> T:
            with self._engine.begin() as db:
                return work(db)

        return retried(transaction, again=True)

    def _load(self, flow: str) -> Reached:
        letters = sa.select(DEAD_LETTERS.c.kind, DEAD_LETTERS.c.entity).where(DEAD_LETTERS.c.flow == flow).distinct()
        with self._reading.begin() as db:
            position = db.scalar(sa.select(POSITIONS.c.position).where(POSITIONS.c.flow == flow)) or 0
            ahead = db.scalars(sa.select(INBOX.c.event_id).where(INBOX.c.flow == flow, INBOX.c.position > position))
            return Reached(position, frozenset(ahead), frozenset((row.kind, row.entity) for row in db.execute(letters)))

    def _bury(self, flow: str, letter: DeadLetter) -> None:
        happened = letter.happened
        row = {
            "flow": flow,
            "event_id": happened.id,
            "position": happened.position,
            "kind": happened.kind,
            "entity": happened.entity,
            "version": happened.version,
            "place": happened.index,
            "at": happened.at,
            "event": happened.event,
            "error": letter.error[:2000],
            "buried_at": letter.buried_at,
            "wanted": letter.wanted,
            "attempts": letter.attempts,
        }
        where = (DEAD_LETTERS.c.flow == flow) & (DEAD_LETTERS.c.event_id == happened.id)

        def work(db: sa.Connection) -> None:
            # The row as it was before is there for nobody else until the end.
            there = db.scalar(sa.select(DEAD_LETTERS.c.attempts).where(where).with_for_update())
            if there is None:
                insert_missing(db, DEAD_LETTERS, [row])
            elif not letter.wanted:
                renewed = {"error": letter.error[:2000], "wanted": False, "attempts": there + letter.attempts}
                db.execute(DEAD_LETTERS.update().where(where).values(**renewed))

        self._written(work)

    def _standings(self) -> list[Standing]:
        letters = sa.select(DEAD_LETTERS.c.flow, sa.func.count().label("letters")).group_by(DEAD_LETTERS.c.flow)
        with self._engine.connect() as db:
            positions = {row.flow: row.position for row in db.execute(sa.select(POSITIONS))}
            buried = {row.flow: int(row.letters) for row in db.execute(letters)}
        return [Standing(flow, positions.get(flow, 0), buried.get(flow, 0)) for flow in sorted({*positions, *buried})]

    def _letters(self, flow: str) -> list[DeadLetter]:
        letters = DEAD_LETTERS.c
        query = sa.select(DEAD_LETTERS).where(letters.flow == flow).order_by(letters.position, letters.place)
        with self._engine.connect() as db:
            return [_letter(row) for row in db.execute(query)]


def _of(flow: str) -> sa.ColumnElement[bool]:
    """Over Kafka `flow` may be the flow in all its partitions, or in one of them, NAME@TOPIC-PARTITION."""
    return (DEAD_LETTERS.c.flow == flow) | DEAD_LETTERS.c.flow.startswith(f"{flow}@", autoescape=True)


def _want(db: sa.Connection, where: sa.ColumnElement[bool]) -> int:
    return db.execute(DEAD_LETTERS.update().where(where).values(wanted=True)).rowcount


def _entity(letter: DeadLetter) -> tuple[str, str]:
    return (letter.happened.kind, letter.happened.entity)


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # What is lost with the machine's power is done again: handlers are idempotent.
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _letter(row: sa.Row[tuple[object, ...]]) -> DeadLetter:
    happened = Happened(row.position, row.kind, row.entity, row.version, row.place, row.at, row.event)
    return DeadLetter(happened, row.error, row.buried_at, row.wanted, row.attempts)
