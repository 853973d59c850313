"""What keeps the index of products: beside the mails, in the one process for what can wait a little."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipelines.index_products import NotesStock, ProductIndexer, index_stock
from pipelines.log.base import EventLog
from pipelines.log.outbox import OutboxLog, outbox_table
from pipelines.progress import SqlProgress
from pipelines.projection import ProjectionRunner
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.elastic_stock import ElasticWritten, StockInIndex
from serve.catalog.search.generations import Generations
from serve.catalog.search.stock import SearchStock
from serve.databases import open_engine
from serve.settings import Settings

STOCK_LOOK_EVERY = 0.1


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

    def __init__(self, settings: Settings, journal: EventLog) -> None:
        metadata = sa.MetaData()
        outbox = outbox_table(metadata)
        self._engine = open_engine(settings.database_url("catalog"), metadata, 2)
        own = settings.database_url("search")
        self._progress = SqlProgress(own)
        events = OutboxLog(self._engine.execution_options(writes=False), outbox)
        analysis = Analysis(settings.language)
        self._written: Written | ElasticWritten
        if settings.elasticsearch_url is not None:
            self._written = ElasticWritten(settings.elasticsearch_url.get_secret_value(), analysis)
            self.indexer = ProductIndexer(events, self._written.indexes, StockInIndex())
            stock: ProductIndexer | NotesStock = self._written.stock
        else:
            self._written = Written(settings.search_dir, own, analysis)
            self.indexer = ProductIndexer(events, self._written.indexes, self._written.stock)
            stock = self.indexer
        self._stock_runner: ProjectionRunner[Any] = ProjectionRunner(index_stock(stock), journal, self._progress)

    async def start(self) -> None:
        await self.indexer.start()
        await self._stock_runner.start()

    async def stop(self) -> None:
        # The stock first: it waits for the indexer.
        await self._stock_runner.stop()
        await self.indexer.stop()
        await self._written.close()
        await self._progress.close()
        self._engine.dispose()
