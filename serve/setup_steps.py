"""Makes the servers ready for a shop, each step of which can be done again at any time."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import sqlalchemy as sa
from aiokafka.errors import KafkaError
from elasticsearch import ApiError, TransportError
from sqlalchemy.exc import OperationalError

from actors.journal.base import JournalUnavailable
from pipelines.log.topics import TopicsFailed, make_topics
from serve.catalog.search.choosing import set_up_search
from serve.event_logs import cluster_of
from serve.journals import cart_journal, sql_journal
from serve.setting_up import SetupFailed, Tell, alone, make_database, set_up_databases
from serve.settings import Settings


class Step(NamedTuple):
    """`does` raises SetupFailed; it may be done again."""

    name: str
    does: Callable[[Settings, Tell], None]


def set_up(settings: Settings, tell: Tell) -> None:
    """All steps, one after the other. Raises SetupFailed."""
    for step in STEPS:
        tell(f"{step.name}:")
        step.does(settings, lambda told: tell(f"  {told}"))


def set_up_journals(settings: Settings, tell: Tell) -> None:
    """The tables of the journal of orders, payments and stock, and what that of the carts needs."""
    try:
        with ExitStack() as stack:
            if settings.mysql_url is not None:
                url = sa.make_url(settings.database_url("journal"))
                make_database(url, tell)
                stack.enter_context(alone(url))
            asyncio.run(_set_up_journals(settings, tell))
    except (JournalUnavailable, OperationalError) as error:
        raise SetupFailed(f"A journal cannot be set up: {type(error).__name__}") from None


async def _set_up_journals(settings: Settings, tell: Tell) -> None:
    journal, carts = sql_journal(settings), cart_journal(settings)
    try:
        await journal.setup()
        tell("orders, payments and stock: ready")
        if carts is not None:
            await carts.setup()
            tell("carts: ready")
    finally:
        await journal.close()
        if carts is not None:
            await carts.close()


def set_up_topics(settings: Settings, tell: Tell) -> None:
    """The topics that are missing; what is there stays as it is."""
    if not settings.kafka_servers:
        tell("none: the journal is the event log")
        return
    made = make_topics(cluster_of(settings), settings.kafka_partitions, settings.kafka_replication, tell)
    try:
        asyncio.run(made)
    except TopicsFailed as error:
        raise SetupFailed(str(error)) from None
    except (KafkaError, TimeoutError) as error:
        raise SetupFailed(f"Kafka at {settings.kafka_servers} cannot be used: {type(error).__name__}") from None
    tell("all topics are there")


def set_up_index(settings: Settings, tell: Tell) -> None:
    """What Elasticsearch must know before anything is written to it."""
    if settings.elasticsearch_url is None:
        tell("embedded: nothing to do")
        return
    try:
        asyncio.run(set_up_search(settings))
    except (ApiError, TransportError) as error:
        raise SetupFailed(f"Elasticsearch cannot be set up: {type(error).__name__}") from None
    tell("templates and aliases are there")


STEPS = [
    Step("Databases", set_up_databases),
    Step("Journals", set_up_journals),
    Step("Events", set_up_topics),
    Step("Search", set_up_index),
]
"""What `troupe setup` does, in this order."""
