"""Products for the tests of search, and an index that they are written into without a shop around it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from actors.decision import Message
from pipelines.events.catalog import KIND, Attribute, ProductChanged, ProductFacts, ProductRemoved, VariantFacts
from pipelines.index_products import Change, ProductIndexer
from pipelines.log.outbox import OutboxLog, put
from serve.catalog.search.analysis import Analysis, Language
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.generations import Generations
from serve.catalog.search.stock import SearchStock
from serve.catalog.search.synonyms import Synonyms
from serve.catalog.slugs import category_steps, slugify
from serve.catalog.tables import open_engine, outbox
from serve.demo.load import demo_products


def variant(sku: str, price: int = 1_000, *, gone: bool = False, **options: str) -> VariantFacts:
    return VariantFacts(sku, options, price, "standard", "gone" if gone else "active", 1)


def product(
    id: str,
    name: str,
    category: str = "Things",
    *,
    description: str = "",
    price: int = 1_000,
    variants: tuple[VariantFacts, ...] = (),
    attributes: Mapping[str, Attribute] | None = None,
    created_at: int = 1_750_000_000_000,
    gone: bool = False,
) -> ProductFacts:
    """`category`: names, parted by slashes. Without `variants` one whose SKU is the id in capitals."""
    return ProductFacts(
        id=id,
        slug=slugify(name) or id,
        name=name,
        description=description,
        categories=tuple((step.path.rpartition("/")[2], step.name) for step in category_steps(category)),
        attributes=dict(attributes or {}),
        status="gone" if gone else "active",
        created_at=created_at,
        image=None,
        variants=variants or (variant(id.upper(), price),),
    )


def demo() -> list[ProductFacts]:
    """The demo shop's products, as the catalogue would tell of them; their ids are their SKUs."""
    return [
        product(
            one.sku,
            one.name,
            one.category,
            description=one.description.strip(),
            attributes=one.specifications,
            variants=(variant(one.sku, int(Decimal(one.price) * 100)),),
            created_at=1_750_000_000_000 + place,
        )
        for place, one in enumerate(demo_products())
    ]


class Outbox:
    """The catalogue's outbox, and what the catalogue would write into it."""

    def __init__(self, path: Path) -> None:
        self.table = outbox
        self.engine = open_engine(f"sqlite:///{path}", 2)
        self.log = OutboxLog(self.engine, self.table, look_every=0.02)
        self._versions: dict[str, int] = {}

    async def tell(self, *products: ProductFacts | str) -> int:
        """Each product as it is from now on, or the id of one that is removed. The position of the last."""
        return await asyncio.to_thread(self._tell, products)

    def _tell(self, products: Iterable[ProductFacts | str]) -> int:
        with self.engine.begin() as connection:
            for one in products:
                id = one if isinstance(one, str) else one.id
                version = self._versions[id] = self._versions.get(id, 0) + 1
                event: Message = ProductRemoved(0) if isinstance(one, str) else ProductChanged(one, 0)
                put(connection, self.table, KIND, id, version, (event,), 0)
            return connection.scalar(sa.select(sa.func.max(self.table.c.position))) or 0

    def close(self) -> None:
        self.engine.dispose()


class World:
    """A catalogue's outbox, an indexer over it and a search, in one folder."""

    def __init__(self, folder: Path, language: Language = "en", synonyms: Path | None = None) -> None:
        self.folder = folder / "search"
        self.analysis = Analysis(language)
        self.outbox = Outbox(folder / "catalog.db")
        self.stock = SearchStock(f"sqlite:///{folder / 'search.db'}")
        self.generations = Generations(self.folder, self.analysis)
        self.indexer = ProductIndexer(self.outbox.log, self.generations, self.stock)
        self.search = EmbeddedSearch(
            self.folder, self.analysis, Synonyms(synonyms, self.analysis), seconds=20, look_every=0
        )

    async def indexed(self, *products: ProductFacts | str) -> None:
        """Tells of them, and returns once they can be found."""
        position = await self.outbox.tell(*products)
        async with asyncio.timeout(20):
            await self.indexer.reached(position)

    async def close(self) -> None:
        await self.search.close()
        await self.indexer.stop()
        await self.generations.close()
        await self.stock.close()
        self.outbox.close()


@asynccontextmanager
async def running(folder: Path, language: Language = "en", synonyms: Path | None = None) -> AsyncIterator[World]:
    world = World(folder, language, synonyms)
    await world.indexer.start()
    try:
        yield world
    finally:
        await world.close()


async def written(folder: Path, products: Iterable[ProductFacts], in_stock: frozenset[str] = frozenset()) -> None:
    """An index of these products and nothing else, which answers when this returns."""
    generations = Generations(folder, Analysis("en"))
    index = await generations.begin()
    await index.write([Change(one.id, one, in_stock) for one in products], 1)
    await generations.switch_to(index)
    await index.close()
    await generations.close()
