"""Moves a shop from a folder to the servers of its settings: checks, copies, counts.

What follows from the journal goes first and the journal last, so that a migration that breaks off leaves nothing that
looks like a shop. Nothing in the folder is changed.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from pymongo import MongoClient

from actors.journal.mysql import MySqlJournal
from actors.journal.tables import records, shards, snapshots
from pipelines.progress_tables import DEAD_LETTERS
from pipelines.sql.words import places_table
from serve import processes
from serve.catalog.tables import outbox as catalog_outbox
from serve.databases import pages
from serve.gateway.clock import now_ms
from serve.journals import cart_journal
from serve.kept_secrets import KEPT
from serve.migrating import journals, target, told
from serve.migrating.failing import CannotMigrate
from serve.migrating.source import COPIED, FLOWS, Source, count_of, held
from serve.notifications.tables import NOTICES
from serve.settings import Settings
from serve.users.tables import ended_sessions
from serve.users.tables import outbox as user_outbox

Begin = Callable[[str, int], Callable[[int], None]]
"""Hears what is copied next and how many rows it has; answers what hears how many more of them are done."""

COUNTED_ON = {
    "users": (user_outbox.c.position, ended_sessions.c.position),
    "catalog": (catalog_outbox.c.position,),
    "notifications": (NOTICES.c.place,),
}
"""Where rows get their numbers from `places` on MySQL: they go on above the highest that was copied."""
_PLACES = places_table(sa.MetaData())
JOURNAL = (records, snapshots, shards)


class Counted(NamedTuple):
    """Rows of one table, here and there."""

    name: str
    source: int
    target: int

    @property
    def agrees(self) -> bool:
        return self.source == self.target


class Moved(NamedTuple):
    """`spared`: rows that keep people from being told what they were not told in time; see `told`."""

    counts: list[Counted]
    spared: int


def move(folder: Path, settings: Settings, begin: Begin, *, letters: bool = False) -> Moved:
    """All of it. `letters`: dead letters are no obstacle: over Kafka their events are tried again.

    Raises CannotMigrate before anything is written; afterwards what databases raise, and the target is to be made anew.
    """
    if settings.mysql_url is None:
        raise CannotMigrate("TROUPE_MYSQL_URL is not set: it says where the shop is to move.")
    if settings.data_dir == folder:
        raise CannotMigrate(f"TROUPE_DATA_DIR is {folder} itself. The shop on servers needs a data folder of its own.")
    running = processes.noted(settings.data_dir)
    if running is not None and processes.alive(running):
        raise CannotMigrate(f"A shop runs on the servers (process {running.pid}, {running.url}). Close it first.")
    with ExitStack() as stack:
        source = stack.enter_context(held(folder, settings.shards))
        _check_letters(source, settings, letters)
        engines = _checked(settings, stack)
        moving = _Moving(settings, source, engines, begin)
        return moving.all()


def _check_letters(source: Source, settings: Settings, letters: bool) -> None:
    """Without Kafka they are copied, and stay what they are."""
    buried = count_of(source.flows, DEAD_LETTERS) if source.flows is not None else 0
    if buried and settings.kafka_servers and not letters:
        raise CannotMigrate(
            f"Flows have given up on {buried} events (troupe dead-letters list --data {source.folder}). Have them "
            "settled first, or say --retry-dead-letters: over Kafka every event is handled anew, these too, and mails "
            "among them may go out once more."
        )


def _checked(settings: Settings, stack: ExitStack) -> dict[str, sa.Engine]:
    target.check_folder(settings)
    engines = {name: stack.enter_context(target.database(settings, name)) for name in (*COPIED, "flows", "journal")}
    for name, metadata in {**COPIED, "flows": FLOWS}.items():
        target.check_tables(engines[name], metadata)
    target.check_journal(engines["journal"])
    if settings.kafka_servers:
        asyncio.run(target.check_topics(settings))
    asyncio.run(target.check_index(settings))
    if settings.mongo_url is not None:
        with _mongo(settings) as database:
            for name in ("records", "snapshots", "shards", "leases"):
                if name not in database.list_collection_names():
                    raise CannotMigrate(f"MongoDB has no collection {name} yet. Run `troupe setup`.")
                if database[name].count_documents({}, limit=1):
                    raise CannotMigrate(f"The collection {name} in MongoDB is not empty. {target.NOT_EMPTY}")
    return engines


@contextmanager
def _mongo(settings: Settings) -> Iterator[Any]:
    assert settings.mongo_address is not None
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings.mongo_address, serverSelectionTimeoutMS=10_000, appname="troupe migrate-data"
    )
    try:
        yield client.get_default_database("troupe")
    finally:
        client.close()


class _Moving:
    def __init__(self, settings: Settings, source: Source, engines: dict[str, sa.Engine], begin: Begin) -> None:
        self._settings = settings
        self._source = source
        self._engines = engines
        self._begin = begin
        self._counts: list[Counted] = []
        self._spared = 0

    def all(self) -> Moved:
        for name, connection in self._source.copied.items():
            for table in COPIED[name].sorted_tables:
                if table.name != _PLACES.name:
                    self._copy(name, connection, table)
        if self._settings.kafka_servers:
            self._spared = told.remember(self._source, self._engines["notifications"], now_ms())
        elif self._source.flows is not None:
            # The journal keeps its positions, so flows go on where they stand.
            for table in FLOWS.sorted_tables:
                self._copy("flows", self._source.flows, table)
        for name, columns in COUNTED_ON.items():
            _count_on(self._engines[name], columns)
        self._bring_files()
        self._copy_journal()
        return Moved(self._counts, self._spared)

    def _copy(self, name: str, connection: sa.Connection, table: sa.Table) -> None:
        engine, total = self._engines[name], count_of(connection, table)
        done = self._begin(f"{name}: {table.name}", total)
        if name == "catalog" and table.name == "changes":
            # The row in which changes are counted may be there already; it counts nothing yet.
            with engine.begin() as writing:
                writing.execute(table.delete())
        for page in pages(connection, sa.select(table).order_by(*table.primary_key.columns)):
            with engine.begin() as writing:
                writing.execute(table.insert(), page)
            done(len(page))
        with engine.connect() as reading:
            self._counts.append(Counted(f"{name}: {table.name}", total, count_of(reading, table)))

    def _bring_files(self) -> None:
        """What has no server: the test gateway's book, its secret, and mails that were sent into a folder."""
        here, there = self._source.folder, self._settings.data_dir
        there.mkdir(parents=True, exist_ok=True)
        if (here / "gateway.db").exists():
            with (
                closing(sqlite3.connect(here / "gateway.db")) as book,
                closing(sqlite3.connect(there / "gateway.db")) as copy,
            ):
                book.backup(copy)
        if (here / KEPT).exists():
            shutil.copy2(here / KEPT, there / KEPT)
        if (here / "mail").is_dir() and self._settings.mail_dir is None:
            shutil.copytree(here / "mail", there / "mail", dirs_exist_ok=True)

    def _copy_journal(self) -> None:
        source, engine = self._source.journal, self._engines["journal"]
        apart = self._settings.mongo_url is not None
        if apart:
            self._copy_carts(source)
        for table in JOURNAL:
            query = journals.part(table, carts=False) if apart else journals.everything(table)
            total = _count(source, query)
            done = self._begin(f"journal: {table.name}", total)
            relays = bool(self._settings.kafka_servers)
            journals.copy_into_mysql(source, engine, table, query, done, relays=relays)
            with engine.connect() as reading:
                self._counts.append(Counted(f"journal: {table.name}", total, count_of(reading, table)))
        # New records get positions above these.
        asyncio.run(_set_up_again(self._settings))

    def _copy_carts(self, source: sa.Connection) -> None:
        totals = {table.name: _count(source, journals.part(table, carts=True)) for table in JOURNAL}

        async def copy() -> None:
            journal = cart_journal(self._settings)
            assert journal is not None
            try:
                await journals.copy_into_mongo(
                    source, journal, lambda name: self._begin(f"carts: {name}", totals[name])
                )
            finally:
                await journal.close()

        asyncio.run(copy())
        with _mongo(self._settings) as database:
            for name, total in totals.items():
                self._counts.append(Counted(f"carts: {name}", total, database[name].count_documents({})))


def _count(connection: sa.Connection, query: sa.Select[Any]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())).scalar_one())


def _count_on(engine: sa.Engine, columns: Sequence[sa.Column[Any]]) -> None:
    with engine.begin() as writing:
        last = max(writing.scalar(sa.select(sa.func.max(column))) or 0 for column in columns)
        writing.execute(_PLACES.delete())
        writing.execute(_PLACES.insert(), {"id": 1, "last": last})


async def _set_up_again(settings: Settings) -> None:
    journal = MySqlJournal(settings.database_url("journal"), ordered=not settings.kafka_servers)
    try:
        await journal.setup()
    finally:
        await journal.close()
