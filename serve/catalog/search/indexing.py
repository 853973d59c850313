"""What keeps the index of products: beside the mails, in the one process for what can wait a little."""

from typing import Any

from pipelines.index_products import ProductIndexer, index_stock
from pipelines.log.base import EventLog
from pipelines.log.outbox import OutboxLog
from pipelines.progress import SqlProgress
from pipelines.projection import ProjectionRunner
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.generations import Generations
from serve.catalog.search.stock import METADATA, SearchStock
from serve.catalog.tables import open_engine, outbox
from serve.settings import Settings

STOCK_LOOK_EVERY = 0.1


class Indexing:
    """The indexer over the catalogue's outbox and, for what is in stock, over the journal."""

    def __init__(self, settings: Settings, journal: EventLog) -> None:
        self._engine = open_engine(settings.database_url("catalog"), 2)
        own = settings.database_url("search")
        self._stock = SearchStock(own)
        self._progress = SqlProgress(own, METADATA)
        self._generations = Generations(settings.search_dir, Analysis(settings.language))
        self.indexer = ProductIndexer(
            OutboxLog(self._engine.execution_options(writes=False), outbox), self._generations, self._stock
        )
        self._stock_runner: ProjectionRunner[Any] = ProjectionRunner(index_stock(self.indexer), journal, self._progress)

    async def start(self) -> None:
        await self.indexer.start()
        await self._stock_runner.start()

    async def stop(self) -> None:
        # The stock first: it waits for the indexer.
        await self._stock_runner.stop()
        await self.indexer.stop()
        await self._generations.close()
        await self._progress.close()
        await self._stock.close()
        self._engine.dispose()
