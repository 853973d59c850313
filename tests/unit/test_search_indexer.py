"""The index follows the catalogue's events and the stock, across restarts, rebuilds and damage."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from actors import stock
from actors.runtime.wire import encode
from pipelines.events.catalog import ProductFacts
from pipelines.index_products import Change, ProductIndex, ProductIndexer, index_stock
from pipelines.log.base import Happened
from pipelines.projection import Versioned
from serve.catalog.search import documents, generations
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import Asked, SearchRebuilding
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.generations import current
from serve.catalog.search.indexing import Indexing
from serve.catalog.search.stock import SearchStock
from serve.catalog.search.synonyms import Synonyms
from serve.settings import load
from tests.unit.searching import Outbox, World, product, running, variant

DEADLINE = 20


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


def left(units: Mapping[str, int]) -> dict[str, Versioned[int]]:
    """Notes of how many units there are; of this engine's versions nobody asks."""
    return {sku: Versioned(1, count) for sku, count in units.items()}


async def ids(world: World, text: str = "", *, available: bool | None = None) -> set[str]:
    return {hit.id for hit in (await world.search.search(Asked(text=text, available=available))).hits}


async def names(world: World, text: str) -> set[str]:
    return {hit.name for hit in (await world.search.search(Asked(text=text))).hits}


async def until_answering(world: World) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await world.search.search(Asked())
                return
            except SearchRebuilding:
                await asyncio.sleep(0.01)


async def test_products_are_found_as_the_events_tell(world: World) -> None:
    await world.indexed(product("a", "Kettle"), product("b", "Pan"))
    assert await ids(world, "kettle") == {"a"}
    await world.indexed(product("a", "Pan"), product("b", "Pan"), "b", product("c", "Cup", gone=True))
    assert (await ids(world, "pan"), await ids(world)) == ({"a"}, {"a"})


async def test_a_change_is_found_within_a_second(world: World) -> None:
    await world.indexed(product("first", "Kettle"))
    for n in range(5):
        began = time.monotonic()
        await world.outbox.tell(product("a", f"Unheard{n} kettle"))
        async with asyncio.timeout(DEADLINE):
            while f"Unheard{n} kettle" not in await names(world, f"unheard{n}"):
                pass
        assert time.monotonic() - began < 1.0


async def test_an_empty_shop_answers_that_nothing_is_there(world: World) -> None:
    await until_answering(world)
    assert (await world.search.search(Asked(text="kettle"))).total == 0


async def test_it_goes_on_where_the_index_stands(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.indexed(product("a", "Kettle"))
        generation = generations.current(world.folder)
    async with running(tmp_path) as world:
        world.outbox._versions["a"] = 1
        await until_answering(world)
        await world.indexed(product("b", "Kettle"))
        assert await ids(world, "kettle") == {"a", "b"}
        assert generations.current(world.folder) == generation


async def test_stock_reaches_the_index_before_it_is_noted(world: World) -> None:
    await world.indexed(product("a", "Kettle", variants=(variant("A1"), variant("A2"))), product("b", "Pan"))
    assert await ids(world, available=True) == set()
    async with asyncio.timeout(DEADLINE):
        await world.indexer.note_stock(left({"A2": 3, "no-such": 1}))
    assert await ids(world, available=True) == {"a"}
    assert await world.stock.in_stock(["A1", "A2", "B", "no-such"]) == {"A2", "no-such"}
    async with asyncio.timeout(DEADLINE):
        await world.indexer.note_stock(left({"A2": 0, "A1": 5, "B": 1}))
        await world.indexer.note_stock(left({"A1": 4}))
    assert await ids(world, available=True) == {"a", "b"}
    await world.indexed(product("a", "Kettle anew", variants=(variant("A1"),)))
    assert await ids(world, available=True) == {"a", "b"}
    async with asyncio.timeout(DEADLINE):
        await world.indexer.note_stock(left({"A1": -1}))
    assert await ids(world, available=True) == {"b"}


@pytest.mark.parametrize(("told", "then"), [(1, 0), (0, 1)])
async def test_a_crash_between_the_index_and_what_is_kept_leaves_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int, then: int
) -> None:
    """The events are read again after it, all at once: what is told then may be what was kept before."""

    async def crash(*_: object) -> None:
        raise Crashed

    async with running(tmp_path) as world:
        await world.indexed(product("a", "Kettle"))
        async with asyncio.timeout(DEADLINE):
            if then:
                await world.indexer.note_stock(left({"A": then}))
            monkeypatch.setattr(SearchStock, "keep", crash)
            with pytest.raises(Crashed):
                await world.indexer.note_stock(left({"A": told}))
        assert await ids(world, available=True) == ({"a"} if told else set())
    monkeypatch.undo()
    for _ in range(2):
        async with running(tmp_path) as world:
            async with asyncio.timeout(DEADLINE):
                await until_answering(world)
                await world.indexer.note_stock(left({"A": then}))
            assert await ids(world, available=True) == ({"a"} if then else set())
            assert await world.stock.doubted() == frozenset()


async def test_stock_that_came_before_its_product_counts(world: World) -> None:
    await until_answering(world)
    async with asyncio.timeout(DEADLINE):
        await world.indexer.note_stock(left({"A": 1}))
    await world.indexed(product("a", "Kettle"))
    assert await ids(world, available=True) == {"a"}


async def test_stock_events_tell_how_many_are_left(world: World) -> None:
    await world.indexed(product("a", "Kettle"))
    projection = index_stock(world.indexer)
    event = stock.StockReceived(quantity=5, available=5)
    async with asyncio.timeout(DEADLINE):
        await projection.write({"A": Versioned(1, projection.tells(event))})
    assert await ids(world, available=True) == {"a"}


async def test_it_is_rebuilt_while_the_old_index_answers(world: World) -> None:
    await world.indexed(*(product(f"p{n}", f"Kettle {n}") for n in range(300)))
    async with asyncio.timeout(DEADLINE):
        await world.indexer.note_stock(left({"P7": 1}))
    before = generations.current(world.folder)
    generations.ask_for_rebuild(world.folder)
    async with asyncio.timeout(DEADLINE):
        while generations.current(world.folder) == before:
            assert (await world.search.search(Asked(text="kettle"))).total == 300
            await asyncio.sleep(0.01)
    assert (await world.search.search(Asked(text="kettle"))).total == 300
    assert await ids(world, available=True) == {"p7"}
    await world.indexed(product("new", "Pan"), "p1")
    assert (await ids(world, "pan"), (await world.search.search(Asked(text="kettle"))).total) == ({"new"}, 299)
    assert sorted(path.name for path in world.folder.iterdir() if path.is_dir()) == [
        str(generations.current(world.folder))
    ]
    assert not (world.folder / "rebuild-wanted").exists()


def _damage(folder: Path, how: str) -> None:
    number = generations.current(folder)
    assert number is not None
    index = generations.path(folder, number)
    if how == "lost":
        for path in index.iterdir():
            path.unlink()
        index.rmdir()
    elif how == "nobody says which":
        (folder / "CURRENT").unlink()
    elif how == "cut short":
        for path in index.glob("*.*"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        (index / "meta.json").write_text("{}")


@pytest.mark.parametrize("how", ["lost", "nobody says which", "cut short", "meta"])
async def test_a_damaged_index_is_rebuilt_by_itself(tmp_path: Path, how: str) -> None:
    async with running(tmp_path) as world:
        await world.indexed(product("a", "Kettle"), product("b", "Pan"))
        async with asyncio.timeout(DEADLINE):
            await world.indexer.note_stock(left({"A": 1}))
    _damage(tmp_path / "search", how)
    world = World(tmp_path)
    try:
        with pytest.raises(SearchRebuilding):
            await world.search.search(Asked(text="kettle"))
        await world.indexer.start()
        await until_answering(world)
        assert (await ids(world), await ids(world, available=True)) == ({"a", "b"}, {"a"})
    finally:
        await world.close()


async def test_another_language_builds_another_index(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.indexed(product("a", "Häuser", "Garten"))
    german = World(tmp_path, "de")
    try:
        with pytest.raises(SearchRebuilding):
            await german.search.search(Asked(text="haus"))
        await german.indexer.start()
        await until_answering(german)
        assert await ids(german, "haus") == {"a"}
    finally:
        await german.close()


async def test_a_product_that_cannot_be_indexed_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = documents.document

    def document(facts: ProductFacts, in_stock: frozenset[str]) -> object:
        if facts.id == "bad":
            raise ValueError("bad")
        return real(facts, in_stock)

    monkeypatch.setattr(generations, "document", document)
    await world.indexed(product("bad", "Kettle"), product("good", "Kettle"))
    assert await ids(world) == {"good"}


class Crashed(Exception):
    pass


class Nothing:
    """A log in which nothing happens, except what is appended."""

    def __init__(self) -> None:
        self.events: list[Happened] = []

    async def read(self, after: int, limit: int) -> list[Happened]:
        return [event for event in self.events if event.position > after][:limit]

    async def wait(self, after: int, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


async def test_beside_the_mails_it_reads_the_catalogue_and_the_journal(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path)
    outbox, journal = Outbox(settings.database("catalog")), Nothing()
    indexing = Indexing(settings, journal)
    await indexing.start()
    await outbox.tell(product("a", "Kettle"))
    event = encode(stock.StockReceived(quantity=5, available=5))
    journal.events.append(Happened(1, "stock", "A", 1, 0, 0, event))
    analysis = Analysis("en")
    search = EmbeddedSearch(settings.search_dir, analysis, Synonyms(None, analysis), look_every=0)
    async with asyncio.timeout(DEADLINE):
        while current(settings.search_dir) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while (await search.search(Asked(available=True))).total == 0:
            pass
    await search.close()
    await indexing.stop()
    outbox.close()


class Index:
    """In memory; `broken` makes writes fail."""

    def __init__(self) -> None:
        self.position = 0
        self.writes: list[tuple[list[str], int]] = []
        self.broken = 0
        self.closed = False

    async def write(self, changes: Sequence[Change], position: int) -> None:
        if self.broken:
            self.broken -= 1
            raise OSError("no space left")
        self.writes.append(([change.product for change in changes], position))
        self.position = position

    async def of_skus(self, skus: Iterable[str]) -> list[ProductFacts]:
        return [product("a", "Kettle")] if "A" in set(skus) else []

    async def close(self) -> None:
        self.closed = True


class Indexes:
    def __init__(self, index: Index) -> None:
        self.index = index
        self.opened = 0

    async def current(self) -> Index:
        self.opened += 1
        return self.index

    async def begin(self) -> ProductIndex:
        raise AssertionError("nobody asked")

    async def switch_to(self, index: ProductIndex) -> None:
        raise AssertionError("nobody asked")

    async def rebuild_wanted(self) -> bool:
        return False


class Kept:
    def __init__(self) -> None:
        self.there: set[str] = set()
        self.broken = 0

    async def doubted(self) -> frozenset[str]:
        return frozenset()

    async def doubt(self, skus: Iterable[str]) -> None:
        pass

    async def in_stock(self, skus: Iterable[str]) -> frozenset[str]:
        return frozenset(self.there & set(skus))

    async def keep(self, changed: Mapping[str, bool]) -> None:
        if self.broken:
            self.broken -= 1
            raise ConnectionError("away")
        self.there |= {sku for sku, is_there in changed.items() if is_there}


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    outbox, index, kept = Outbox(tmp_path / "catalog.db"), Index(), Kept()
    indexes = Indexes(index)
    indexer = ProductIndexer(outbox.log, indexes, kept)
    await indexer.start()
    index.broken = 1
    position = await outbox.tell(product("a", "Kettle"))
    async with asyncio.timeout(DEADLINE):
        await indexer.reached(position)
    assert (index.writes, indexes.opened) == ([(["a"], position)], 2)
    index.broken = 1
    async with asyncio.timeout(DEADLINE):
        await indexer.note_stock(left({"A": 1}))
    assert (index.writes[1:], kept.there) == ([(["a"], position)], {"A"})
    await indexer.stop()
    assert index.closed
    outbox.close()


async def test_what_was_told_and_could_not_be_kept_is_told_again_when_it_is_no_longer_so(tmp_path: Path) -> None:
    """The index said that there is one, and nobody would have told it that there is none any more."""
    outbox, index, kept = Outbox(tmp_path / "catalog.db"), Index(), Kept()
    indexer = ProductIndexer(outbox.log, Indexes(index), kept)
    await indexer.start()
    position = await outbox.tell(product("a", "Kettle"))
    async with asyncio.timeout(DEADLINE):
        await indexer.reached(position)
        kept.broken = 1
        with pytest.raises(ConnectionError):
            await indexer.note_stock(left({"A": 1}))
        told = len(index.writes)
        await indexer.note_stock(left({"A": 0}))
    assert (len(index.writes), kept.there) == (told + 1, set())
    await indexer.stop()
    outbox.close()


async def test_stock_that_the_index_does_not_have_is_not_kept(tmp_path: Path) -> None:
    outbox, index, kept = Outbox(tmp_path / "catalog.db"), Index(), Kept()
    indexer = ProductIndexer(outbox.log, Indexes(index), kept)
    await indexer.start()
    index.broken = 1_000
    noting = asyncio.create_task(indexer.note_stock(left({"A": 1})))
    done, _ = await asyncio.wait([noting], timeout=0.3)
    assert (done, kept.there) == (set(), set())
    noting.cancel()
    await asyncio.wait([noting])
    await indexer.stop()
    outbox.close()
