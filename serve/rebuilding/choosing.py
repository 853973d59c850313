"""Where a read model is, and where all that it was made of stands, as the settings choose."""

import asyncio
from collections.abc import Iterable

from sqlalchemy import Engine

from pipelines.events import catalog, users
from pipelines.log.history import DatabaseHistory, History, KafkaHistory
from pipelines.log.outbox import OutboxLog
from pipelines.log.sql import JournalLog
from serve.catalog.tables import open_engine as open_catalog
from serve.catalog.tables import outbox as catalog_outbox
from serve.databases import open_engine
from serve.event_logs import cluster_of
from serve.journals import sql_journal
from serve.opened import Opened
from serve.rebuilding.models import ReadModel
from serve.settings import Settings
from serve.users.store import open_engine as open_users
from serve.users.tables import outbox as users_outbox

CONNECTIONS = 3


class NoShop(Exception):
    """There is nothing to rebuild; a text for people."""


def check(settings: Settings, databases: Iterable[str]) -> None:
    """Raises NoShop, if a file is missing that would only be made by looking at it."""
    for name in databases:
        if settings.mysql_url is None and not settings.database(name).exists():
            raise NoShop(f"There is no shop in {settings.data_dir}: {settings.database(name).name} is missing.")


def live_of(model: ReadModel, settings: Settings, opened: Opened) -> Engine:
    """The database that a read model is in. Raises SchemaBehind, and what SQLAlchemy raises."""
    engine = open_engine(settings.database_url(model.database), model.metadata, CONNECTIONS)
    opened.push_async_callback(asyncio.to_thread, engine.dispose)
    return engine


def history_of(kinds: Iterable[str], settings: Settings, opened: Opened) -> History:
    """All events of kinds of entity that stand in one log: Kafka, or without it the database that is the log."""
    wanted = set(kinds)
    if settings.kafka_servers:
        return opened.closing(KafkaHistory(cluster_of(settings), wanted))
    if wanted == {users.KIND}:
        outbox = opened.closing(OutboxLog(open_users(settings.database_url("users")), users_outbox))
        return DatabaseHistory(outbox, outbox.end)
    if wanted == {catalog.KIND}:
        outbox = opened.closing(OutboxLog(open_catalog(settings.database_url("catalog"), 2), catalog_outbox))
        return DatabaseHistory(outbox, outbox.end)
    journal = opened.closing(sql_journal(settings))
    return DatabaseHistory(JournalLog(journal), journal.end)
