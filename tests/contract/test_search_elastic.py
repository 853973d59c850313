"""What only Elasticsearch has to show: late writes, several writers, rebuilds that nobody notices."""

import asyncio
import math
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path
from secrets import token_hex

import pytest
from elasticsearch import AsyncElasticsearch

from pipelines.index_products import Change, ProductIndexer, index_stock
from pipelines.projection import Versioned
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import Asked, Range, Wanted
from serve.catalog.search.contents import in_elasticsearch
from serve.catalog.search.documents import Kept
from serve.catalog.search.elastic import ElasticSearch
from serve.catalog.search.elastic_client import Access, client_of
from serve.catalog.search.elastic_indexes import ElasticIndex, ElasticIndexes, Names, ask_for_rebuild, setup
from serve.catalog.search.elastic_stock import ElasticStock, StockInIndex
from serve.catalog.search.synonyms import Synonyms
from tests.contract.test_search import dropped
from tests.servers import address
from tests.unit.searching import Outbox, product, variant

pytestmark = pytest.mark.servers
DEADLINE = 60


class World:
    def __init__(self, url: str) -> None:
        self.analysis = Analysis("en")
        self.names = Names("en", f"test-{token_hex(6)}")
        self.client: AsyncElasticsearch = client_of(Access(url), 30)
        self.indexes = ElasticIndexes(self.client, self.names, self.analysis)
        self.stock = ElasticStock(self.client, self.names)
        self.search = ElasticSearch(Access(url), self.analysis, Synonyms(None, self.analysis), self.names, seconds=20)

    async def index(self) -> ElasticIndex:
        made = await self.indexes.begin()
        await self.indexes.switch_to(made)
        return made

    async def found(self, text: str = "", *, available: bool | None = None) -> list[tuple[str, str]]:
        hits = (await self.search.search(Asked(text=text, available=available))).hits
        return [(hit.id, hit.name) for hit in hits]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(address("ELASTICSEARCH"))
    try:
        yield made
    finally:
        await made.search.close()
        await dropped(made.client, made.names)


async def test_the_newest_of_each_counts_in_whatever_order_they_come(world: World) -> None:
    """Two versions, a removal, and two notes of stock: each order of the last three leaves the same."""
    index = await world.index()
    for number, order in enumerate(permutations(["changed", "removed", "left", "sold"])):
        id = f"p{number}"
        for what in order:
            if what == "changed":
                await index.write([Change(id, product(id, "Kettle"), version=2)], 1)
            elif what == "removed":
                await index.write([Change(id, None, version=1)], 1)
            else:
                left = Versioned(5, 3) if what == "left" else Versioned(4, 0)
                # Another writer each time: none knows what the others wrote.
                await ElasticStock(world.client, world.names).note_stock({id.upper(): left})
    found = await world.search.search(Asked(text="kettle", available=True))
    assert found.total == 24


async def test_what_an_index_says_can_be_read_whole(world: World) -> None:
    """For who compares it: what is found, with what is in stock of the variants for sale."""
    assert await in_elasticsearch(world.client, world.names) == {}
    index = await world.index()
    pot = product("b", "Pot", variants=(variant("B1"), variant("B2"), variant("B3", gone=True)))
    await index.write([Change("a", product("a", "Kettle"), version=1), Change("b", pot, version=1)], 1)
    await index.write([Change("c", product("c", "Cup"), version=1), Change("c", None, version=2)], 2)
    await world.stock.note_stock({sku: Versioned(1, units) for sku, units in {"A": 0, "B2": 2, "B3": 1}.items()})
    assert await in_elasticsearch(world.client, world.names) == {
        "a": Kept(product("a", "Kettle"), ()),
        "b": Kept(pot, ("B2",)),
    }


async def test_a_removed_product_stays_removed(world: World) -> None:
    index = await world.index()
    await index.write([Change("a", product("a", "Kettle"), version=3)], 1)
    await index.write([Change("a", None, version=4)], 2)
    for late in (1, 3, 4):
        await index.write([Change("a", product("a", "Kettle of old"), version=late)], 2)
    await world.stock.note_stock({"A": Versioned(9, 9)})
    assert await world.found() == []
    await index.write([Change("a", product("a", "Kettle again"), version=5)], 3)
    assert await world.found(available=True) == [("a", "Kettle again")]


async def test_stock_that_did_not_change_between_is_told_when_it_may_have(world: World) -> None:
    index = await world.index()
    await index.write([Change("a", product("a", "Kettle"), version=1)], 1)
    other = ElasticStock(world.client, world.names)
    await world.stock.note_stock({"A": Versioned(1, 5)})
    await other.note_stock({"A": Versioned(2, 0)})
    assert await world.found(available=True) == []
    await world.stock.note_stock({"A": Versioned(3, 5)})
    await other.note_stock({"A": Versioned(2, 0)})
    assert len(await world.found(available=True)) == 1
    # Nothing between: the product's document is left alone.
    before = await world.client.get(index=index.name, id="a")
    await world.stock.note_stock({"A": Versioned(4, 4)})
    assert (await world.client.get(index=index.name, id="a"))["_version"] == before["_version"]
    await world.stock.note_stock({"A": Versioned(5, 0)})
    assert await world.found(available=True) == []


async def test_counts_that_are_kept_are_those_of_now(world: World) -> None:
    index = await world.index()
    for number in (1, 2, 3):
        await index.write([Change(f"p{number}", product(f"p{number}", "Kettle", price=number * 1_000), version=1)], 1)
        facets = (await world.search.search(Asked(sort="price", price_min=5_000))).facets
        assert facets is not None
        assert sum(step.count for step in facets.prices) == number


async def test_how_far_an_index_is_never_goes_back(world: World) -> None:
    index = await world.index()
    await index.write([], 7)
    zombie = await world.indexes.current()
    assert zombie is not None
    await zombie.write([], 5)
    again = await world.indexes.current()
    assert again is not None
    assert (zombie.position, again.position) == (7, 7)


async def test_writes_to_an_index_that_was_given_up_make_no_other(world: World) -> None:
    given_up = await world.indexes.begin()
    await world.indexes.begin()
    with pytest.raises(Exception, match="index_not_found"):
        await given_up.write([Change("a", product("a", "Kettle"), version=1)], 1)
    assert given_up.name not in (await world.client.indices.get(index=f"{world.names.prefix}-*"))


async def test_no_text_and_no_filter_breaks_it(world: World) -> None:
    index = await world.index()
    facts = product("a", "Kettle \x00 \U0001fad6", "Kitchen", attributes={"Ma.te*rial": "(Iron|.*)", "W": 3, "w": 4.5})
    await index.write([Change("a", facts, version=1)], 1)
    odd = [
        '"',
        "*",
        "ket* ~2",
        "\u0301",
        "a" * 200,
        "kettle\x00",
        "\U0001fad6",
        "\ud800 kettle",
        "kettl(e",
        "x" * 90 + "yz",
    ]
    odd += ["kettle " * 28, "name:kettle", "k.ttl|", "ke\\tt", "2\ufe0f26cm", "kett\u00e9l", "İstanbul kettles"]
    for text in odd:
        await world.search.search(Asked(text=text))
        await world.search.suggest(text, 8)
        wanted = {
            key: Wanted((text,), (Range(-math.inf, 5), Range(math.inf, None))) for key in ("w", "ma_te_rial", text)
        }
        found = await world.search.search(
            Asked(categories=(text,), attributes=wanted, price_max=2**62, available=False)
        )
        assert found.facets is not None
    found = await world.search.search(Asked(attributes={"w": Wanted((), (Range(4, 5),))}))
    assert [hit.id for hit in found.hits] == ["a"]


async def test_setup_can_be_run_again(world: World) -> None:
    await setup(world.client, world.names)
    index = await world.index()
    await index.write([Change("a", product("a", "Kettle"), version=1)], 1)
    await setup(world.client, world.names)
    assert len(await world.found()) == 1


async def test_nobody_notices_a_rebuild_and_nothing_of_it_is_lost(world: World, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "catalog.db")
    indexer = ProductIndexer(outbox.log, world.indexes, StockInIndex())
    stock = index_stock(world.stock)
    await indexer.start()
    try:
        async with asyncio.timeout(DEADLINE):
            position = await outbox.tell(
                *(product(f"p{n}", "Kettle", variants=(variant(f"P{n}"),)) for n in range(200))
            )
            await indexer.reached(position)
            before = await world.indexes.current()
            await ask_for_rebuild(world.client, world.names)
            told = 0
            while await _same(world, before):
                # Products and their stock change all the while.
                told += 1
                await outbox.tell(product(f"p{told % 200}", "Kettle", description=f"told {told}"))
                await stock.write({f"P{told % 200}": Versioned(told, 1)})
                assert (await world.search.search(Asked(text="kettle"))).total == 200
            await indexer.reached(await outbox.tell(product("last", "Kettle")))
            there = {f"p{n % 200}" for n in range(1, told + 1)}
            assert (await world.search.search(Asked(text="kettle"))).total == 201
            assert (await world.search.search(Asked(available=True))).total == len(there)
            assert (await world.search.search(Asked(text=f"told {told}"))).total >= 1
    finally:
        await indexer.stop()
        outbox.close()


async def _same(world: World, before: ElasticIndex | None) -> bool:
    now = await world.indexes.current()
    assert before is not None
    return now is not None and now.name == before.name
