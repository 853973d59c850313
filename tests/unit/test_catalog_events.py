"""What the catalogue tells the others of its products, and what becomes of a file from before it did."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from actors.pricing import Price
from pipelines.events.catalog import Event, ProductChanged, ProductFacts, ProductRemoved, VariantFacts
from serve.catalog.prices import Prices
from serve.catalog.schemas import ProductChange, ProductDraft, VariantDraft
from serve.catalog.service import Catalog
from tests.databases import Databases

NOW = 1_750_000_000_000


@pytest.fixture
async def catalog(databases: Databases) -> AsyncIterator[Catalog]:
    made = Catalog(databases("catalog"), clock=lambda: NOW)
    yield made
    await made.close()


async def told(catalog: Catalog) -> list[tuple[str, int, Event]]:
    """(entity, version, event) of everything in the outbox."""
    happened = await catalog.outbox_log().read(0, 1_000)
    return [(one.entity, one.version, msgspec.msgpack.decode(one.event, type=Event)) for one in happened]


SHIRT = ProductDraft(
    name="Linen shirt",
    category="Clothes/Shirts",
    description="For summer.",
    attributes={"material": ["linen", "cotton"], "weight": 0.2, "pockets": 1, "washable": True, "cut": "wide"},
    specifications={"Care": "30 degrees"},
    related=["HAT"],
    tax_class="reduced",
    image="shirt",
    variants=[
        VariantDraft(sku="SHIRT-S", options={"size": "S"}, price=4900),
        VariantDraft(sku="SHIRT-M", options={"size": "M"}, price=5100, status="gone"),
    ],
)


async def test_an_event_tells_the_whole_product(catalog: Catalog) -> None:
    await catalog.put_product("SHIRT", SHIRT)
    ((entity, version, event),) = await told(catalog)
    facts = ProductFacts(
        id=entity,
        slug="linen-shirt",
        name="Linen shirt",
        description="For summer.",
        categories=(("clothes", "Clothes"), ("shirts", "Shirts")),
        attributes={"material": ("linen", "cotton"), "weight": 0.2, "pockets": 1, "washable": True, "cut": "wide"},
        status="active",
        created_at=NOW,
        image="shirt",
        variants=(
            VariantFacts("SHIRT-S", {"size": "S"}, 4900, "reduced", "active", 1),
            VariantFacts("SHIRT-M", {"size": "M"}, 5100, "reduced", "gone", 1),
        ),
    )
    assert (version, event) == (1, ProductChanged(facts, NOW))


async def test_each_change_is_one_event_of_the_row_s_version_and_nothing_is_none(catalog: Catalog) -> None:
    first, _ = await catalog.put_product("SHIRT", SHIRT)
    await catalog.put_product("SHIRT", SHIRT)
    changed = await catalog.patch_product("SHIRT", ProductChange(status="gone"))
    await catalog.remove_product("SHIRT")
    await catalog.put_product("SHIRT", SHIRT)
    events = await told(catalog)
    assert [version for _, version, _ in events] == [first.version, changed.version, 3, 1]
    _, gone, removed, again = (event for _, _, event in events)
    assert isinstance(gone, ProductChanged)
    assert [variant.status for variant in gone.product.variants] == ["gone", "gone"]
    assert gone.product.status == "gone"
    assert removed == ProductRemoved(NOW)
    assert isinstance(again, ProductChanged)
    entities = [entity for entity, _, _ in events]
    assert entities[0] == entities[1] == entities[2] != entities[3] == again.product.id


async def test_what_is_refused_or_rehearsed_tells_nothing(catalog: Catalog) -> None:
    await catalog.put_products([("A", ProductDraft(name=" ", category="Mugs", price=1))])
    await catalog.put_products([("A", ProductDraft(name="A", category="Mugs", price=1))], keep=False)
    assert await told(catalog) == []
    assert await catalog.all_categories() == []


OLD_FILE = """
CREATE TABLE products (
    sku VARCHAR(64) NOT NULL, slug VARCHAR(120) NOT NULL, name VARCHAR(200) NOT NULL, sort_name VARCHAR(600) NOT NULL,
    description TEXT NOT NULL, category VARCHAR(200) NOT NULL, price BIGINT NOT NULL, tax_class VARCHAR(32) NOT NULL,
    status VARCHAR(16) NOT NULL, specifications JSON NOT NULL, image VARCHAR(120), version INTEGER NOT NULL,
    created_at BIGINT NOT NULL, changed BIGINT NOT NULL, PRIMARY KEY (sku), UNIQUE (slug), UNIQUE (changed));
CREATE INDEX products_by_category ON products (category);
CREATE INDEX products_by_name ON products (sort_name, sku);
CREATE INDEX products_by_price ON products (price, sku);
CREATE INDEX products_by_age ON products (created_at, sku);
CREATE TABLE categories (path VARCHAR(200) NOT NULL, name VARCHAR(200) NOT NULL, parent VARCHAR(200),
    position INTEGER NOT NULL, PRIMARY KEY (path));
CREATE INDEX ix_categories_parent ON categories (parent);
CREATE TABLE availability (sku VARCHAR(64) NOT NULL, available INTEGER NOT NULL, version BIGINT NOT NULL,
    PRIMARY KEY (sku));
CREATE TABLE images (name VARCHAR(120) NOT NULL, svg TEXT NOT NULL, digest VARCHAR(32) NOT NULL, PRIMARY KEY (name));
CREATE TABLE changes (id INTEGER NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (id));
CREATE TABLE loads (name VARCHAR(120) NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (name));
INSERT INTO categories VALUES ('kitchen', 'Kitchen', NULL, 1), ('kitchen/mugs', 'Mugs', 'kitchen', 1);
INSERT INTO availability VALUES ('M1', 12, 3);
"""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A catalogue of 1,203 mugs as the shop before this one left it; M2 is gone."""
    path = tmp_path / "old.db"
    database = sqlite3.connect(path)
    database.executescript(OLD_FILE)
    rows = [
        (f"M{n}", f"mug-{n}", f"Mug {n}", f"mug {n}", "Holds tea.", 100 + n, "gone" if n == 2 else "active", 7, n + 1)
        for n in range(1_203)
    ]
    insert = (
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, 'kitchen/mugs', ?, 'standard', ?, "
        "'{\"Size\": \"350 ml\"}', 'mug', ?, 5, ?)"
    )
    database.executemany(insert, rows)
    database.execute("INSERT INTO changes VALUES (1, 1203)")
    database.commit()
    database.close()
    return path


async def test_a_file_of_an_earlier_shop_is_opened_and_told_once(old_file: Path) -> None:
    for _ in range(2):
        catalog = Catalog(f"sqlite:///{old_file}", clock=lambda: NOW)
        try:
            mug = await catalog.product("mug-1")
            events = await catalog.outbox_log().read(0, 2_000)
            prices = await Prices(catalog).prices(["M1", "M2"])
            page = await catalog.products(sort="price", limit=3)
            await catalog.put_product(
                "M1",
                ProductDraft(
                    name="Mug 1",
                    category="Kitchen/Mugs",
                    price=101,
                    description="Holds tea.",
                    specifications={"Size": "350 ml"},
                ),
            )
        finally:
            await catalog.close()
        assert (mug.sku, mug.price, mug.available, mug.version) == ("M1", 101, 12, 7)
        assert [(one.sku, one.image) for one in mug.variants] == [("M1", "/api/catalog/images/mug.svg")]
        assert len(events) == len({one.entity for one in events}) == 1_203
        assert {(one.version, one.at) for one in events} == {(7, NOW)}
        assert prices == {
            "M1": Price("M1", "Mug 1", 101, version=7),
            "M2": Price("M2", "Mug 2", 102, status="gone", version=7),
        }
        assert [item.sku for item in page.items] == ["M0", "M1", "M3"]


async def test_a_file_of_an_earlier_shop_goes_on_being_written(old_file: Path) -> None:
    catalog = Catalog(f"sqlite:///{old_file}", clock=lambda: NOW)
    try:
        changed = await catalog.patch_product("M1", ProductChange(price=90))
        made, _ = await catalog.put_product("NEW", SHIRT)
        last = await catalog.outbox_log().read(1_203, 10)
    finally:
        await catalog.close()
    assert (changed.version, changed.price, changed.price_max) == (8, 90, 90)
    assert made.trail[0].name == "Clothes"
    assert [one.version for one in last] == [8, 1]


async def test_a_column_that_was_renamed_keeps_what_it_says(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    catalog = Catalog(url)
    sizes = [VariantDraft(sku=size, price=price, options={"size": size}) for size, price in (("S", 5), ("L", 9))]
    await catalog.put_product("MUG", ProductDraft(name="Mug", category="Mugs", variants=sizes))
    await catalog.close()
    with sqlite3.connect(tmp_path / "catalog.db") as database:
        database.execute("ALTER TABLE products RENAME COLUMN price_max TO price_to")
        # As it was before databases said which revision their tables are of.
        database.execute("DROP TABLE alembic_version")
    database.close()
    catalog = Catalog(url)
    page = await catalog.products(sort="price", limit=1)
    await catalog.close()
    assert [(item.price, item.price_max) for item in page.items] == [(5, 9)]


async def test_two_processes_that_open_an_old_file_at_once_tell_each_product_once(old_file: Path) -> None:
    opened = [asyncio.to_thread(Catalog, f"sqlite:///{old_file}", clock=lambda: NOW) for _ in range(3)]
    catalogs = await asyncio.gather(*opened)
    events = await catalogs[0].outbox_log().read(0, 5_000)
    for catalog in catalogs:
        await catalog.close()
    assert len(events) == len({one.entity for one in events}) == 1_203
