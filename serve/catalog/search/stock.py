"""Which SKUs are in stock, as far as the index of products knows: its own projection of the stock entities' events."""

import asyncio
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from pipelines.progress_tables import METADATA as PROGRESS
from pipelines.progress_tables import bring_up_to_date
from pipelines.sql.retrying import transaction
from pipelines.sql.revisions import metadata_of
from pipelines.sql.words import insert_missing
from serve.databases import open_engine

AT_ONCE = 500

METADATA = metadata_of("search")
for _table in PROGRESS.tables.values():
    _table.to_metadata(METADATA)  # how far it has come stands beside it
IN_STOCK = sa.Table("in_stock", METADATA, sa.Column("sku", sa.String(64), primary_key=True))
DOUBTED = sa.Table("doubted", METADATA, sa.Column("sku", sa.String(64), primary_key=True))


class SearchStock:
    """Implements `pipelines.index_products.KnowsStock`. Raises what SQLAlchemy raises."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, METADATA, 2, bring_up_to_date)

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)

    async def in_stock(self, skus: Iterable[str]) -> frozenset[str]:
        """See `KnowsStock`."""
        return await asyncio.to_thread(self._in_stock, list(skus))

    def _in_stock(self, skus: list[str]) -> frozenset[str]:
        found: set[str] = set()
        with self._engine.execution_options(writes=False).connect() as connection:
            for some in _pieces(skus):
                found.update(connection.scalars(sa.select(IN_STOCK.c.sku).where(IN_STOCK.c.sku.in_(some))))
        return frozenset(found)

    async def doubt(self, skus: Iterable[str]) -> None:
        """See `KnowsStock`."""
        await asyncio.to_thread(self._doubt, list(skus))

    @transaction(again=True)
    def _doubt(self, skus: list[str]) -> None:
        with self._engine.begin() as connection:
            for some in _pieces(skus):
                insert_missing(connection, DOUBTED, [{"sku": sku} for sku in some])

    async def doubted(self) -> frozenset[str]:
        """See `KnowsStock`."""
        return await asyncio.to_thread(self._doubted)

    def _doubted(self) -> frozenset[str]:
        with self._engine.execution_options(writes=False).connect() as connection:
            return frozenset(connection.scalars(sa.select(DOUBTED.c.sku)))

    async def keep(self, changed: Mapping[str, bool]) -> None:
        """See `KnowsStock`."""
        await asyncio.to_thread(self._keep, changed)

    @transaction(again=True)
    def _keep(self, changed: Mapping[str, bool]) -> None:
        with self._engine.begin() as connection:
            for some in _pieces(list(changed)):
                connection.execute(sa.delete(IN_STOCK).where(IN_STOCK.c.sku.in_(some)))
                connection.execute(sa.delete(DOUBTED).where(DOUBTED.c.sku.in_(some)))
            if there := [{"sku": sku} for sku, is_there in changed.items() if is_there]:
                insert_missing(connection, IN_STOCK, there)


def _pieces(skus: list[str]) -> list[list[str]]:
    return [skus[at : at + AT_ONCE] for at in range(0, len(skus), AT_ONCE)]
