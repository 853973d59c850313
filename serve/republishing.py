"""Tells a new Kafka, or one that was emptied, all that the journals hold: they have every event from the first one on.

Nothing is published here. Each shard's checkpoint says how far it has relayed; it is made to say nothing, so whoever
opens the shop relays all of it, each shard's in order, as after a crash. So no host may have a shard meanwhile. What
follows is done in an order in which it can be broken off anywhere and done again.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from actors.journal.base import Journal
from actors.kinds import KINDS
from actors.runtime.furnishing import Kept
from actors.runtime.open_work import OpenWork, unrelayed
from actors.runtime.wire import encode
from pipelines.beginning_anew import begin_anew
from pipelines.events import catalog as catalog_events
from pipelines.log.base import Happened
from pipelines.log.cloud_events import TOPICS
from pipelines.log.history import KafkaHistory
from pipelines.log.publishing import KafkaPublisher
from pipelines.sql.mysql import open_mysql
from serve import processes
from serve.catalog.search.choosing import ask_for_rebuild
from serve.catalog.service import Catalog
from serve.catalog.telling import changed_event
from serve.event_logs import cluster_of
from serve.gateway.clock import now_ms
from serve.journals import cart_journal, kept_in, sql_journal
from serve.migrating.told import remember_orders
from serve.opened import Opened
from serve.settings import Settings
from serve.setup_steps import set_up_topics

TOLD_AFTER_MS = 24 * 3_600_000
"""Of what happened longer ago nobody is told now, whatever rows remember that he was told then."""
PAGE = 500

Tell = Callable[[str], None]


class CannotRepublish(Exception):
    """What is in the way; a text for people."""


class Republished(NamedTuple):
    """`kinds`: those whose events are relayed from the first one on. `products`: told as they are now.

    `spared`: rows that keep people from being told again. `positions`: places at which flows begin anew.
    """

    kinds: list[str]
    products: int
    spared: int
    positions: int


def republish(settings: Settings, tell: Tell = lambda _: None) -> Republished:
    """For a closed shop; whatever is not in Kafka is there some time after it is opened.

    Raises CannotRepublish, SetupFailed, what databases and Kafka raise.
    """
    if not settings.kafka_servers:
        raise CannotRepublish("TROUPE_KAFKA_SERVERS is not set: the journal itself is the event log.")
    running = processes.noted(settings.data_dir)
    if running is not None and processes.alive(running):
        raise CannotRepublish(f"A shop runs on {settings.data_dir} (process {running.pid}). Close it first.")
    set_up_topics(settings, tell)
    return asyncio.run(_republish(settings, tell))


async def _republish(settings: Settings, tell: Tell) -> Republished:
    async with Opened() as opened:
        journals = _journals(settings, opened)
        for kinds, journal in journals:
            await _check_closed(journal, kinds, settings.shards)
        empty, kept = await _empty(settings)
        if not empty:
            return Republished([], 0, 0, 0)
        again = [kind for kind in KINDS if kind in empty]
        tell("seeing to it that nobody is told again")
        spared = await asyncio.to_thread(_spare, settings) if "order" in again else 0
        # The products first: an index that is built from an empty topic would answer that there are none.
        products = await _tell_products(settings, tell)
        await ask_for_rebuild(settings)
        positions = sum([await asyncio.to_thread(_begin_anew, settings, name, kept, again) for name in _FLOWS])
        for kinds, journal in journals:
            await _relay_again(journal, [kind for kind in kinds if kind in again], settings.shards)
        return Republished(again, products, spared, positions)


_FLOWS = ("flows", "search")
"""Databases that say where flows stand."""


def _journals(settings: Settings, opened: Opened) -> tuple[Kept, ...]:
    carts = cart_journal(settings)
    return kept_in(opened.closing(sql_journal(settings)), None if carts is None else opened.closing(carts))


async def _check_closed(journal: Journal, kinds: Iterable[str], shards: int) -> None:
    """By the leases of those who had the shards last. Raises CannotRepublish."""
    rows = await journal.shard_rows([(kind, number) for kind in kinds for number in range(shards)])
    for owner in sorted({row.owner for row in rows.values() if row.owner}):
        now, until = await journal.revoke(owner, ())
        if until > now:
            raise CannotRepublish("A shop runs, or was killed a moment ago. Close it, or wait for some seconds.")


async def _empty(settings: Settings) -> tuple[set[str], set[str]]:
    """Kinds to whose topics nothing was ever written, and the places of all others."""
    cluster = cluster_of(settings)
    history = KafkaHistory(cluster, TOPICS)
    try:
        ends = await history.ends()
    finally:
        await history.close()
    whole = {place.rpartition("-")[0] for place, end in ends.items() if end}
    empty = {kind for kind in TOPICS if cluster.topic(kind) not in whole}
    return empty, {place for place in ends if place.rpartition("-")[0] in whole}


def _spare(settings: Settings) -> int:
    """Mails and notices remember what people were told, but not for ever; see `serve.migrating.told`."""
    now = now_ms()
    journal, target = _engine(settings, "journal"), _engine(settings, "notifications")
    try:
        with journal.execution_options(writes=False).connect() as reading:
            return remember_orders(reading, now - TOLD_AFTER_MS, target, now)
    finally:
        journal.dispose()
        target.dispose()


def _engine(settings: Settings, name: str) -> sa.Engine:
    url = settings.database_url(name)
    return open_mysql(url, 1) if url.startswith("mysql") else sa.create_engine(url, hide_parameters=True)


def _begin_anew(settings: Settings, name: str, kept: Collection[str], again: Collection[str]) -> int:
    if settings.mysql_url is None and not settings.database(name).exists():
        return 0
    engine = _engine(settings, name)
    try:
        return begin_anew(engine, kept, again)
    finally:
        engine.dispose()


async def _tell_products(settings: Settings, tell: Tell) -> int:
    """As they are: the events that made them so are gone from the outbox, and of each the topic keeps the newest."""
    async with Opened() as opened:
        catalog = opened.closing(await asyncio.to_thread(Catalog, settings.database_url("catalog")))
        publisher = opened.closing(KafkaPublisher(cluster_of(settings)))
        names = {category.path: category.name for category in await catalog.all_categories()}
        told, key, now = 0, "", now_ms()
        while page := await catalog.products_after(key, PAGE):
            events = [(product, encode(changed_event(product, names, now))) for product in page]
            await publisher.tell(
                [Happened(0, catalog_events.KIND, one.id, one.version, 0, now, event) for one, event in events]
            )
            told, key = told + len(page), page[-1].key
            tell(f"products told: {told}")
    return told


async def _relay_again(journal: Journal, kinds: Sequence[str], shards: int) -> None:
    """Raises CannotRepublish: a host has taken a shard meanwhile."""
    ids = [(kind, number) for kind in kinds for number in range(shards)]
    rows = await journal.shard_rows(ids)
    await journal.save_checkpoints(
        [
            row._replace(saved=row.saved + 1, checkpoint=unrelayed(row.checkpoint))
            for row in rows.values()
            if row.checkpoint
        ]
    )
    for shard, row in (await journal.shard_rows(ids)).items():
        taken = row.epoch != rows[shard].epoch if shard in rows else True
        if taken or OpenWork(row.checkpoint).relayed:
            raise CannotRepublish("A shop was opened meanwhile. Close it, and do this again.")
