"""What carts know of prices: learned from the catalogue's events, in the memory of each replica."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from actors.pricing import Price
from pipelines.keep_prices import KeptPrices, line_name
from pipelines.log.base import Happened
from serve.catalog.prices import Prices
from serve.catalog.schemas import ProductChange, ProductDraft, VariantContent, VariantDraft
from serve.catalog.service import Catalog
from tests.databases import Databases

NOW = 1_750_000_000_000


@pytest.fixture
async def catalog(databases: Databases) -> AsyncIterator[Catalog]:
    made = Catalog(databases("catalog"), clock=lambda: NOW)
    yield made
    await made.close()


@pytest.fixture
async def elsewhere(catalog: Catalog, databases: Databases) -> AsyncIterator[Catalog]:
    """Another process's catalogue on the same database."""
    made = Catalog(databases("catalog"), clock=lambda: NOW)
    yield made
    await made.close()


async def put(catalog: Catalog, sku: str, price: int = 100) -> None:
    await catalog.put_product(sku, ProductDraft(name="Mug", category="Mugs", price=price))


def shirt(*variants: tuple[str, str, int]) -> ProductDraft:
    made = [VariantDraft(sku=sku, options={"size": size}, price=price) for sku, size, price in variants]
    return ProductDraft(name="Shirt", category="Clothes", variants=made)


class Counted(Catalog):
    """Counts how often it is asked for prices."""

    asked = 0

    async def prices_of(self, skus: object) -> dict[str, Price]:
        self.asked += 1
        return await super().prices_of(skus)  # type: ignore[arg-type]


def test_a_line_says_what_was_chosen() -> None:
    assert line_name("Shirt", {}) == "Shirt"
    assert line_name("Shirt", {"size": "M", "colour": "ink"}) == "Shirt (M, ink)"


async def test_a_replica_starts_with_all_prices_and_asks_nobody(catalog: Catalog, databases: Databases) -> None:
    await catalog.put_products([(f"S{n}", ProductDraft(name="Mug", category="Mugs", price=n)) for n in range(1_200)])
    await catalog.patch_product("S7", ProductChange(status="gone"))
    counted = Counted(databases("catalog"))
    prices = Prices(counted)
    await prices.start()
    try:
        found = await prices.prices(["S7", "S8", "S1199"])
    finally:
        await prices.close()
        await counted.close()
    assert found == {
        "S7": Price("S7", "Mug", 7, status="gone", version=2),
        "S8": Price("S8", "Mug", 8, version=1),
        "S1199": Price("S1199", "Mug", 1199, version=1),
    }
    assert counted.asked == 0


async def test_another_process_s_change_arrives_by_itself(catalog: Catalog, elsewhere: Catalog) -> None:
    await put(catalog, "A")
    prices = Prices(catalog)
    await prices.start()
    try:
        await elsewhere.patch_product("A", ProductChange(price=120))
        async with asyncio.timeout(10):
            while await prices.prices(["A"]) != {"A": Price("A", "Mug", 120, version=2)}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        behind = REGISTRY.get_sample_value("troupe_prices_behind_seconds")
        assert behind is not None
        assert 0 <= behind < 10
    finally:
        await prices.close()


async def test_who_wrote_sees_the_new_price_at_once(catalog: Catalog) -> None:
    prices = Prices(catalog)
    await put(catalog, "A")
    assert await prices.prices(["A"]) == {"A": Price("A", "Mug", 100, version=1)}
    await catalog.patch_product("A", ProductChange(price=90))
    assert await prices.prices(["A"]) == {"A": Price("A", "Mug", 90, version=2)}


async def test_a_sku_that_no_event_told_of_is_asked_for(catalog: Catalog, elsewhere: Catalog) -> None:
    prices = Prices(catalog)
    assert await prices.prices(["A"]) == {"A": None}
    await elsewhere.put_product("SHIRT", shirt(("A", "M", 100)))
    assert await prices.prices(["A", "B"]) == {"A": Price("A", "Shirt (M)", 100, version=1), "B": None}


async def test_what_carts_do_not_see_changes_no_price_version(catalog: Catalog) -> None:
    prices = Prices(catalog)
    await put(catalog, "A")
    await catalog.patch_product("A", ProductChange(description="New words.", attributes={"colour": "ink"}))
    assert await prices.prices(["A"]) == {"A": Price("A", "Mug", 100, version=1)}
    await catalog.patch_product("A", ProductChange(tax_class="reduced"))
    assert await prices.prices(["A"]) == {"A": Price("A", "Mug", 100, "reduced", version=2)}
    await catalog.patch_product("A", ProductChange(name="Cup"))
    assert await prices.prices(["A"]) == {"A": Price("A", "Cup", 100, "reduced", version=3)}


async def test_what_was_removed_is_gone_and_comes_back_with_a_newer_version(catalog: Catalog) -> None:
    prices = Prices(catalog)
    await catalog.put_product("SHIRT", shirt(("S", "S", 100), ("M", "M", 110)))
    await prices.prices(["S"])
    await catalog.remove_variant("SHIRT", "S")
    gone = Price("S", "Shirt (S)", 100, status="gone", version=2)
    assert await prices.prices(["S", "M"]) == {"S": gone, "M": Price("M", "Shirt (M)", 110, version=1)}
    await catalog.put_variant("SHIRT", "S", VariantContent(price=90, options={"size": "S"}))
    assert (await prices.prices(["S"]))["S"] == Price("S", "Shirt (S)", 90, version=3)
    await catalog.remove_product("SHIRT")
    found = await prices.prices(["S", "M"])
    assert [(price.status, price.version) for price in found.values() if price] == [("gone", 4), ("gone", 2)]


async def test_a_sku_that_moves_to_another_product_stays_for_sale(catalog: Catalog) -> None:
    await catalog.put_product("OLD", shirt(("S", "S", 100), ("M", "M", 110)))
    await catalog.put_product("OLD", shirt(("M", "M", 110)))
    await catalog.put_product("NEW", shirt(("S", "S", 80)))
    early = KeptPrices(catalog.outbox_log())
    early.learn(Price("S", "Shirt (S)", 80, version=3))  # asked for before any event was read
    for prices in (early, KeptPrices(catalog.outbox_log())):
        await prices.catch_up()
        assert prices.get("S") == Price("S", "Shirt (S)", 80, version=3)
        await prices.close()


async def test_an_older_answer_of_the_catalogue_does_not_replace_what_is_known(catalog: Catalog) -> None:
    await put(catalog, "A")
    await catalog.patch_product("A", ProductChange(price=120))
    prices = KeptPrices(catalog.outbox_log())
    await prices.catch_up()
    assert prices.learn(Price("A", "Mug", 100, version=1)) == Price("A", "Mug", 120, version=2)


class Broken:
    """A log that cannot be read the first times."""

    def __init__(self, catalog: Catalog, failures: int) -> None:
        self._log = catalog.outbox_log()
        self.failures = failures

    async def read(self, after: int, limit: int) -> list[Happened]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no log")
        return await self._log.read(after, limit)

    async def wait(self, after: int, seconds: float) -> None:
        await self._log.wait(after, seconds)


class InPieces(Broken):
    """A log that gives less than it is asked for, as Kafka does."""

    async def read(self, after: int, limit: int) -> list[Happened]:
        return await super().read(after, min(limit, 2))


async def test_a_short_answer_is_not_taken_for_the_end(catalog: Catalog) -> None:
    await catalog.put_products([(f"S{n}", ProductDraft(name="Mug", category="Mugs", price=n)) for n in range(7)])
    prices = KeptPrices(InPieces(catalog, 0))
    await prices.start()
    assert [prices.get(f"S{n}") is not None for n in range(7)] == [True] * 7
    await prices.close()


async def test_a_log_that_cannot_be_read_is_tried_again(catalog: Catalog) -> None:
    await put(catalog, "A")
    prices = KeptPrices(Broken(catalog, 2))
    async with asyncio.timeout(10):
        await prices.start()
    assert prices.get("A") == Price("A", "Mug", 100, version=1)
    await prices.close()
