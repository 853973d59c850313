"""The servers that a shop moves to: set up, and empty."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from actors.journal.tables import leases, records, revocations, shards, snapshots
from pipelines.log.kafka import Client
from pipelines.log.topics import TopicsFailed, partitions_of
from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import SchemaBehind, prepare
from serve.catalog.search.choosing import elasticsearch_of, names_of
from serve.catalog.tables import changes
from serve.event_logs import cluster_of
from serve.migrating.failing import CannotMigrate
from serve.migrating.source import count_of
from serve.settings import Settings

JOURNAL = (records, snapshots, shards, leases, revocations)
SECONDS = 30.0
_NO_DATABASE = 1049
NOT_EMPTY = (
    "It belongs to a shop that runs or ran there, or was left by a migration that broke off. For another try make "
    "everything anew: drop the databases, then `troupe setup`."
)


@contextmanager
def database(settings: Settings, name: str) -> Iterator[sa.Engine]:
    """A database of the target. Raises CannotMigrate."""
    engine = open_mysql(settings.database_url(name), 1)
    try:
        with engine.connect():
            pass
        yield engine
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[:1] == (_NO_DATABASE,):
            raise CannotMigrate(f"MySQL has no database {engine.url.database} yet. Run `troupe setup`.") from None
        raise
    finally:
        engine.dispose()


def check_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """They are there, at this version, and empty. Raises CannotMigrate."""
    try:
        prepare(engine, metadata)
    except SchemaBehind as error:
        raise CannotMigrate(str(error)) from None
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            # Whoever opens a catalogue begins to count its changes.
            where = changes.c.number > 0 if table.name == changes.name else None
            if count_of(connection, table, where):
                raise CannotMigrate(f"The table {table.name} in {engine.url.database} is not empty. {NOT_EMPTY}")


def check_journal(engine: sa.Engine) -> None:
    """As `check_tables`."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(records.name):
            raise CannotMigrate(f"The database {engine.url.database} has no tables of a journal. Run `troupe setup`.")
        for table in JOURNAL:
            if count_of(connection, table):
                raise CannotMigrate(f"The table {table.name} in {engine.url.database} is not empty. {NOT_EMPTY}")


def check_folder(settings: Settings) -> None:
    """What is not on servers begins anew in the target's data folder. Raises CannotMigrate."""
    for name in ("journal.db", "users.db", "gateway.db", "search"):
        if (settings.data_dir / name).exists():
            raise CannotMigrate(
                f"{settings.data_dir} has {name} of a shop. What is not on servers (the test gateway's book, the "
                "embedded index) needs a folder of its own: set TROUPE_DATA_DIR to a new one."
            )


async def check_topics(settings: Settings) -> None:
    """They are there, and nothing was ever written to them. Raises CannotMigrate, KafkaError, TimeoutError."""
    cluster = cluster_of(settings)
    async with asyncio.timeout(SECONDS):
        try:
            partitions = await partitions_of(cluster)
        except TopicsFailed as error:
            raise CannotMigrate(str(error)) from None
        client = Client(cluster)
        try:
            ends = await (await client.consumer()).end_offsets(partitions)
        finally:
            await client.close()
    for partition, end in ends.items():
        if end:
            raise CannotMigrate(
                f"The topic {partition.topic} has events of another shop. Choose another TROUPE_KAFKA_PREFIX, or "
                "delete the topics; then run `troupe setup`."
            )


async def check_index(settings: Settings) -> None:
    """How far an index has come stands in it, and would be another log's place. Raises CannotMigrate."""
    names = names_of(settings)
    async with elasticsearch_of(settings) as client:
        if client is None:
            return
        there = await client.indices.exists_alias(name=names.fed)
    if there:
        raise CannotMigrate(
            f"Elasticsearch has an index of another shop ({names.fed}). Delete the indexes {names.prefix}-*, then run "
            "`troupe setup`."
        )
