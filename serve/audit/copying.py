"""A shop on servers is audited as one in a folder: its databases are copied into one first, each as of one moment.

What follows from the journals is copied before them, as `serve.audit.sources` wants it. Orders and carts stand in two
databases, which have no moment in common: so what goes from one to the other just then looks as if it had no sender,
and only an audit of a shop that rests is exact. The audit says so by what it finds; nothing is written to the servers.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, create_engine

from actors.journal.tables import metadata as journal_metadata
from actors.journal.tables import records, shards, snapshots
from actors.runtime.open_work import OpenWork
from pipelines.sql.mysql import open_mysql
from serve.audit.kafka_tails import EVERYWHERE, copy_progress
from serve.databases import pages
from serve.settings import Settings

Tell = Callable[[str], None]

READ_MODELS = ("flows", "orders", "notifications", "catalog", "payments")
PAGE = 1_000
BUSY_SECONDS = 10.0


def on_servers(settings: Settings) -> bool:
    """Whether anything that an audit looks at is not in the data folder."""
    return bool(settings.mysql_url or settings.mongo_url or settings.kafka_servers)


def copy_shop(settings: Settings, folder: Path, tell: Tell = lambda _: None) -> None:
    """Fills `folder`, which is empty. Raises what the databases raise, and what Kafka does."""
    for name in READ_MODELS:
        tell(f"copying {name}")
        copy_database(settings, name, folder)
    if settings.kafka_servers:
        tell("reading what flows have still to do")
        copy_progress(settings, folder)
    tell("copying the journal")
    copy_database(settings, "journal", folder)
    if settings.mongo_address is not None:
        tell("copying the carts")
        _copy_carts(settings.mongo_address, folder / "journal.db")
    if settings.kafka_servers:
        _put_behind_what_is_not_relayed(folder / "journal.db")
    # The gateway's book is a file also where all else is on servers.
    _copy_file(settings.database("gateway"), folder / "gateway.db")


def copy_database(settings: Settings, name: str, folder: Path) -> None:
    """A database that is not there is left out."""
    if settings.mysql_url is None:
        _copy_file(settings.database(name), folder / f"{name}.db")
        return
    source = open_mysql(settings.database_url(name), 1).execution_options(writes=False)
    target = create_engine(f"sqlite:///{folder / f'{name}.db'}")
    try:
        copy_tables(source, target)
    finally:
        source.dispose()
        target.dispose()


def _copy_file(source: Path, target: Path) -> None:
    if not source.exists():
        return
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)


def copy_tables(source: Engine, target: Engine) -> None:
    """All tables, as of one moment, with their indexes: an audit looks for each message among all records."""
    there = sa.MetaData()
    with source.connect() as reading:
        there.reflect(reading)
        for table in there.tables.values():
            copy = _plain(table)
            copy.create(target)
            for page in pages(reading, sa.select(table), PAGE):
                with target.begin() as writing:
                    writing.execute(copy.insert(), page)


def _plain(table: sa.Table) -> sa.Table:
    """The table for SQLite: the same columns and key, of the types that an audit reads."""
    columns = [
        sa.Column(column.name, _type(column), primary_key=column.primary_key, nullable=True, autoincrement=False)
        for column in table.columns
    ]
    copy = sa.Table(table.name, sa.MetaData(), *columns)
    for index in table.indexes:
        # In SQLite their names are those of the whole database. What is there twice is for the audit to say.
        sa.Index(f"{table.name}_{index.name}", *(copy.c[column.name] for column in index.columns))
    return copy


def _type(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    if isinstance(column.type, sa.types.LargeBinary) or column.type.python_type is bytes:
        return sa.LargeBinary()
    if issubclass(column.type.python_type, int):
        # SQLite's only key that counts is INTEGER.
        return sa.Integer()
    return sa.Text()


def _copy_carts(url: str, target: Path) -> None:
    """Behind the records that are there: the two have no order in common."""
    from pymongo import MongoClient
    from pymongo.read_concern import ReadConcern

    engine = create_engine(f"sqlite:///{target}")
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=10_000, appname="troupe audit")
    try:
        journal_metadata.create_all(engine)
        database = client.get_default_database("troupe", read_concern=ReadConcern("snapshot"))
        with client.start_session(snapshot=True) as session, engine.begin() as writing:
            last = writing.scalar(sa.select(sa.func.max(records.c.position))) or 0
            found = database["records"].find({}, session=session, batch_size=PAGE)
            page: list[dict[str, Any]] = []
            for position, one in enumerate(found, last + 1):
                page.append({"position": position, "record_id": bytes(one.pop("_id")), **one})
                if len(page) >= PAGE:
                    writing.execute(records.insert(), page)
                    page = []
            if page:
                writing.execute(records.insert(), page)
            for table in (snapshots, shards):
                rows = [{**one.pop("_id"), **one} for one in database[table.name].find({}, session=session)]
                if rows:
                    writing.execute(table.insert(), rows)
    finally:
        client.close()
        engine.dispose()


def _put_behind_what_is_not_relayed(journal: Path) -> None:
    """No flow can have been told of it for certain, so its place is behind where any flow stands."""
    engine = create_engine(f"sqlite:///{journal}")
    try:
        with engine.begin() as db:
            for row in db.execute(sa.select(shards)).all():
                relayed = OpenWork(row.checkpoint).relayed
                later = (records.c.kind == row.kind) & (records.c.shard == row.shard) & (records.c.seq > relayed)
                db.execute(records.update().where(later).values(position=records.c.position + EVERYWHERE))
    finally:
        engine.dispose()
