"""The demo shop: that there is enough of it, that no two things are the same, and that loading it twice is harmless."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from serve.catalog.schemas import ProductChange
from serve.catalog.service import Catalog
from serve.demo.drawing import MOTIFS, TONES, draw
from serve.demo.load import DemoProduct, demo_products, load_demo

PRODUCTS = demo_products()
UNITS = {sku: count for product in PRODUCTS for sku, count in product.units().items()}


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    made = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield made
    await made.close()


class Warehouse:
    """Receives units once a key; fails at `broken`."""

    def __init__(self, broken: str = "") -> None:
        self.on_hand: dict[str, int] = {}
        self.broken = broken
        self._keys: set[str] = set()

    async def receive(self, sku: str, quantity: int, key: str) -> None:
        if sku == self.broken:
            raise ConnectionError(sku)
        if key not in self._keys:
            self._keys.add(key)
            self.on_hand[sku] = self.on_hand.get(sku, 0) + quantity


def test_there_are_products_enough_and_each_is_itself() -> None:
    assert len(PRODUCTS) == 160
    assert len({product.sku for product in PRODUCTS}) == 160
    assert len({product.name for product in PRODUCTS}) == 160
    assert len({product.category for product in PRODUCTS}) == 32
    first_sentences = {re.split(r"[.:;]", product.description.strip())[0] for product in PRODUCTS}
    assert len(first_sentences) == 160


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.sku)
def test_a_product_reads_as_one_in_a_shop(product: DemoProduct) -> None:
    text = product.description.strip()
    assert 80 <= len(text) <= 360
    assert 2 <= len(re.findall(r"[.?!](?=\s|$)", text)) <= 5
    assert "  " not in text
    assert "\n" not in text
    draft = product.draft()
    assert 200 <= product.price_minor <= 20_000
    assert 1 <= product.stock <= 400
    assert 2 <= len(draft.specifications) <= 5


def test_every_picture_is_valid_its_own_and_always_the_same() -> None:
    pictures = [product.picture() for product in PRODUCTS]
    assert len(set(pictures)) == 160
    assert pictures == [product.picture() for product in PRODUCTS]
    for product, picture in zip(PRODUCTS, pictures, strict=True):
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.findtext("{http://www.w3.org/2000/svg}title") == product.name
        assert len(picture) < 32_000
    assert {motif for motif, _ in (product.image.split() for product in PRODUCTS)} == set(MOTIFS)


@pytest.mark.parametrize("motif", sorted(MOTIFS))
def test_every_motif_can_be_drawn_in_every_tone_and_with_every_detail(motif: str) -> None:
    for number, tone in enumerate(TONES):
        ElementTree.fromstring(draw(f"{motif}-{number}", 'Salt & <pepper> "mill"', motif, tone))


async def test_the_shop_is_loaded_once(catalog: Catalog) -> None:
    warehouse = Warehouse()
    assert await load_demo(catalog, warehouse.receive) == 160
    assert warehouse.on_hand == UNITS
    tree = (await catalog.categories()).items
    assert [(node.name, node.count, len(node.children)) for node in tree] == [
        ("Kitchen", 38, 7),
        ("Home", 27, 6),
        ("Garden", 26, 5),
        ("Stationery", 26, 5),
        ("Play", 24, 5),
        ("Bath", 19, 4),
    ]
    slugs = {product.slug for product in await catalog.products_after("")}
    assert len(slugs) == 160
    for product in await catalog.products_after(""):
        assert (await catalog.image(product.image or "")).svg.startswith("<svg")

    await catalog.patch_product("KIT-MUG-MOSS", ProductChange(price=1))
    before = await catalog.outbox_log().read(0, 1000)
    assert await load_demo(catalog, warehouse.receive) == 0
    assert await catalog.outbox_log().read(0, 1000) == before
    assert sum(warehouse.on_hand.values()) == sum(UNITS.values())


async def test_some_things_come_in_sizes_and_colours_and_have_neighbours(catalog: Catalog) -> None:
    await load_demo(catalog, Warehouse().receive)
    towel = await catalog.product("striped-tea-towel")
    assert [(option.name, option.values) for option in towel.options] == [("colour", ["brick", "sage", "ink"])]
    assert [(one.sku, one.price) for one in towel.variants] == [
        ("KIT-LIN-TOWEL", 1100),
        ("KIT-LIN-TOWEL-SAGE", 1100),
        ("KIT-LIN-TOWEL-INK", 1100),
    ]
    assert towel.attributes == {"colour": ["brick", "sage", "ink"], "material": ["linen", "cotton"]}
    assert [one.sku for one in towel.related] == ["KIT-LIN-APRON", "KIT-LIN-MITT", "KIT-LIN-NAPKINS", "KIT-LIN-WRAPS"]
    pictures = {(await catalog.image((one.image or "").rpartition("/")[2][:-4])).digest for one in towel.variants}
    assert len(pictures) == 3
    gloves = await catalog.product("goatskin-gloves")
    assert [one.options["size"] for one in gloves.variants] == ["M", "S", "L"]
    assert len({one.image for one in gloves.variants}) == 1
    assert sum(len(product.variants) > 1 for product in await catalog.products_after("")) == 7


async def test_a_load_that_broke_off_is_finished_by_the_next(catalog: Catalog) -> None:
    warehouse = Warehouse(broken="HOM-LAM-DESK")
    with pytest.raises(ConnectionError, match="HOM-LAM-DESK"):
        await load_demo(catalog, warehouse.receive)
    await catalog.patch_product("KIT-MUG-MOSS", ProductChange(price=1))
    warehouse.broken = ""
    assert await load_demo(catalog, warehouse.receive) == 0
    assert warehouse.on_hand == UNITS
    assert (await catalog.product_of_sku("KIT-MUG-MOSS")).price == 1
    assert await catalog.loaded("demo/1")
