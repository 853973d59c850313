"""What keeps the index of products: beside the mails, in the one process for what can wait a little."""

import asyncio
from pathlib import Path

from pipelines.index_products import NotesStock, ProductIndexer, index_stock
from pipelines.log.base import EventLog
from pipelines.log.outbox import OutboxLog
from pipelines.log.publishing import KafkaPublisher
from pipelines.progress import SqlProgress
from pipelines.relay_outbox import OutboxRelay
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.choosing import access_of, names_of
from serve.catalog.search.elastic_stock import ElasticWritten, StockInIndex
from serve.catalog.search.generations import Generations
from serve.catalog.search.stock import METADATA, SearchStock
from serve.catalog.tables import open_engine, outbox
from serve.event_logs import catalog_log, cluster_of, logs_of
from serve.opened import Opened
from serve.settings import Settings

STOCK_LOOK_EVERY = 0.1
"""How often, in seconds, the journal is looked at for stock."""


class Written:
    """The index on this machine's disk, and what is known beside it of the stock."""

    def __init__(self, folder: Path, database: str, analysis: Analysis) -> None:
        self.indexes = Generations(folder, analysis)
        self.stock = SearchStock(database)

    async def close(self) -> None:
        await self.indexes.close()
        await self.stock.close()


class Indexing:
    """The indexer over the catalogue's outbox and, for what is in stock, over the journal."""

    def __init__(self, settings: Settings, journal: EventLog | None) -> None:
        """`journal`: the event log, unless there is Kafka."""
        self._settings = settings
        self._journal = journal
        self._opened = Opened()

    async def start(self) -> None:
        """A start that fails leaves nothing open."""
        settings, own = self._settings, self._settings.database_url("search")
        async with Opened() as opened:
            engine = open_engine(settings.database_url("catalog"), 2)
            opened.push_async_callback(asyncio.to_thread, engine.dispose)
            progress = opened.closing(SqlProgress(own, METADATA))
            log = catalog_log(settings)
            if log is not None:
                opened.closing(log)
                publisher = opened.closing(KafkaPublisher(cluster_of(settings)))
                await opened.running(OutboxRelay("catalogue", OutboxLog(engine, outbox), publisher))
            reading = log or OutboxLog(engine.execution_options(writes=False), outbox)
            indexer, stock = _indexer(settings, reading, opened)
            await opened.running(indexer)
            # It waits for the indexer, so it stops before it.
            await opened.running(logs_of(settings, opened, progress, self._journal).run(index_stock(stock)))
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()


def _indexer(settings: Settings, events: EventLog, opened: Opened) -> tuple[ProductIndexer, NotesStock]:
    """What reads the catalogue's events, and what is told of the stock."""
    analysis = Analysis(settings.language)
    access = access_of(settings)
    if access is not None:
        elastic = opened.closing(ElasticWritten(access, analysis, names_of(settings)))
        return ProductIndexer(events, elastic.indexes, StockInIndex()), elastic.stock
    written = opened.closing(Written(settings.search_dir, settings.database_url("search"), analysis))
    indexer = ProductIndexer(events, written.indexes, written.stock)
    return indexer, indexer
