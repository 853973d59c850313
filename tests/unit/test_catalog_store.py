"""The catalogue on a real SQLite file: products, lists, availability, and the prices that carts are given."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from serve.catalog.images import checked_image
from serve.catalog.recent import Recent
from serve.catalog.schemas import CatalogRefused, CategoryNode, ProductBody, ProductChange, ProductDraft, Sort
from serve.catalog.service import Catalog
from serve.catalog.slugs import slugify
from tests.databases import Databases

NOW = 1_750_000_000_000


class Clock:
    """Seconds for what is kept in memory, set by the test."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def catalog(databases: Databases) -> AsyncIterator[Catalog]:
    made = Catalog(databases("catalog"), clock=lambda: NOW)
    yield made
    await made.close()


def draft(name: str = "Mug", price: int = 1200, category: str = "Kitchen/Mugs", **fields: Any) -> ProductDraft:
    return ProductDraft(name=name, price=price, category=category, **fields)


async def put(catalog: Catalog, sku: str, *args: Any, **fields: Any) -> ProductBody:
    return (await catalog.put_product(sku, draft(*args, **fields)))[0]


async def refusal(doing: Any) -> str:
    with pytest.raises(CatalogRefused) as caught:
        await doing
    return caught.value.code


async def test_a_product_is_created_replaced_and_left_alone_when_nothing_changes(catalog: Catalog) -> None:
    first, created = await catalog.put_product(
        "MUG-1", draft("Blue  mug ", specifications={"Size": "350 ml", "A": "b"})
    )
    assert created
    assert (first.slug, first.name, first.version, first.created_at) == ("blue-mug", "Blue mug", 1, NOW)
    assert list(first.specifications.items()) == [("Size", "350 ml"), ("A", "b")]
    assert [(step.path, step.name) for step in first.trail] == [("kitchen", "Kitchen"), ("kitchen/mugs", "Mugs")]

    again, created = await catalog.put_product("MUG-1", draft("Blue mug", specifications={"Size": "350 ml", "A": "b"}))
    assert (again, created) == (first, False)

    renamed, _ = await catalog.put_product("MUG-1", draft("Sea-blue mug"))
    assert (renamed.version, renamed.slug, renamed.specifications) == (2, "blue-mug", {})
    assert await catalog.product("blue-mug") == renamed


async def test_slugs_are_unique_and_a_taken_one_is_refused(catalog: Catalog) -> None:
    slugs = [(await put(catalog, sku, "Café & crème")).slug for sku in ("A", "B", "C")]
    assert slugs == ["cafe-and-creme", "cafe-and-creme-2", "cafe-and-creme-3"]
    assert await refusal(put(catalog, "D", slug="cafe-and-creme-2")) == "slug_taken"
    assert await refusal(catalog.product_of_sku("D")) == "no_such_product"


@pytest.mark.parametrize(
    ("sku", "fields", "code"),
    [
        ("a b", {}, "bad_sku"),
        ("MUG\n", {}, "bad_sku"),
        ("MUG", {"category": "Kitchen//Mugs"}, "bad_category"),
        ("MUG", {"category": "a/b/c/d/e/f/g"}, "bad_category"),
        ("MUG", {"name": " \t "}, "bad_name"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    catalog: Catalog, sku: str, fields: dict[str, str], code: str
) -> None:
    assert await refusal(put(catalog, sku, **fields)) == code
    assert await catalog.products_after("") == []
    assert await catalog.all_categories() == []


async def test_a_patch_changes_what_it_names_and_only_on_the_version_it_knows(catalog: Catalog) -> None:
    before = await put(catalog, "MUG-1", "Mug", 1200, description="Holds tea.", image="mug-1")
    after = await catalog.patch_product("MUG-1", ProductChange(price=990, version=1))
    assert (after.price, after.version) == (990, 2)
    assert (after.description, after.image, after.slug) == (before.description, before.image, before.slug)
    assert await refusal(catalog.patch_product("MUG-1", ProductChange(price=1, version=1))) == "version_changed"
    assert await refusal(catalog.patch_product("NO", ProductChange(price=1))) == "no_such_product"
    assert (await catalog.patch_product("MUG-1", ProductChange(image=None))).image is None
    assert (await catalog.patch_product("MUG-1", ProductChange(status="gone"))).status == "gone"
    assert (await catalog.products()).items == []


async def walked(catalog: Catalog, sort: Sort, category: str | None = None, limit: int = 2) -> list[str]:
    """The SKUs of all pages."""
    skus: list[str] = []
    cursor = None
    while True:
        page = await catalog.products(category=category, sort=sort, cursor=cursor, limit=limit)
        skus += [product.sku for product in page.items]
        if page.next is None:
            return skus
        assert len(page.items) == limit
        cursor = page.next


async def test_every_order_walks_all_products_once(catalog: Catalog) -> None:
    shelf = [("A", "banana", 300), ("B", "Apple", 300), ("C", "cherry", 100), ("D", "apple", 200), ("E", "Date", 300)]
    for sku, name, price in shelf:
        await put(catalog, sku, name, price)
    assert await walked(catalog, "name") == ["B", "D", "A", "C", "E"]
    assert await walked(catalog, "price") == ["C", "D", "A", "B", "E"]
    assert await walked(catalog, "-price") == ["E", "B", "A", "D", "C"]
    assert await walked(catalog, "newest") == ["E", "D", "C", "B", "A"]
    assert await walked(catalog, "name", limit=5) == ["B", "D", "A", "C", "E"]


async def test_a_cursor_stands_while_products_come_and_go(catalog: Catalog) -> None:
    for sku in "BDFH":
        await put(catalog, sku, f"Mug {sku}")
    page = await catalog.products(limit=2)
    assert [product.sku for product in page.items] == ["B", "D"]
    await put(catalog, "A", "Mug A")
    await put(catalog, "E", "Mug E")
    await catalog.patch_product("D", ProductChange(status="gone"))
    following = await catalog.products(limit=10, cursor=page.next)
    assert [product.sku for product in following.items] == ["E", "F", "H"]


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "W10", "WyJuYW1lIiwxLCJBIl0", "é", "W251bGxd"])
async def test_a_cursor_that_is_none_is_refused(catalog: Catalog, cursor: str) -> None:
    assert await refusal(catalog.products(cursor=cursor)) == "bad_cursor"


async def test_a_cursor_of_another_order_is_refused(catalog: Catalog) -> None:
    await put(catalog, "A")
    await put(catalog, "B")
    page = await catalog.products(limit=1)
    assert await refusal(catalog.products(sort="price", cursor=page.next)) == "bad_cursor"


async def test_a_category_holds_all_below_it_and_nothing_beside_it(catalog: Catalog) -> None:
    await put(catalog, "A", category="Home/Lamps")
    await put(catalog, "B", category="home/lamps/Desk lamps")
    await put(catalog, "C", category="Home/Lamps & more")
    await put(catalog, "D", category="Home")
    await put(catalog, "E", category="Home/Lamps", status="gone")
    assert await walked(catalog, "price", "home/lamps") == ["A", "B"]
    assert await walked(catalog, "price", "home") == ["A", "B", "C", "D"]
    assert await refusal(catalog.products(category="garden")) == "no_such_category"
    tree = await catalog.categories()
    desk = CategoryNode("home/lamps/desk-lamps", "Desk lamps", 1, [])
    lamps = CategoryNode("home/lamps", "Lamps", 2, [desk])
    more = CategoryNode("home/lamps-and-more", "Lamps & more", 1, [])
    assert tree.items == [CategoryNode("home", "Home", 4, [lamps, more])]


async def test_availability_keeps_the_highest_version_in_whatever_order_it_comes(catalog: Catalog) -> None:
    await put(catalog, "A")
    assert (await catalog.product("mug")).available is None
    await catalog.note_availability("A", 7, 3)
    await catalog.note_availability("A", 9, 2)
    await catalog.note_availability("A", 8, 3)
    assert (await catalog.product("mug")).available == 7
    await catalog.note_availabilities([("A", 0, 5), ("A", 4, 4), ("Z", 1, 1)])
    assert (await catalog.product("mug")).available == 0
    assert (await catalog.products()).items[0].available == 0
    await put(catalog, "Z", "Known to the stock before the catalogue")
    assert (await catalog.product_of_sku("Z")).available == 1


async def test_two_writers_on_one_database_lose_nothing(catalog: Catalog, databases: Databases) -> None:
    other = Catalog(databases("catalog"))
    try:
        await asyncio.gather(*(put((catalog, other)[n % 2], f"S{n}", f"Mug {n}") for n in range(40)))
        happened = await catalog.outbox_log().read(0, 100)
    finally:
        await other.close()
    assert [one.position for one in happened] == list(range(1, 41))
    assert len({one.entity for one in happened}) == 40


async def test_a_recent_answer_is_made_once_for_all_who_ask_and_a_refusal_too() -> None:
    clock, generation = Clock(), [object()]
    made: list[int] = []
    recent = Recent(lambda: generation[0], limit=2, clock=clock)

    async def make() -> bytes:
        made.append(len(made))
        await asyncio.sleep(0)
        if len(made) == 3:
            raise CatalogRefused("no_such_product", "gone")
        return b"%d" % len(made)

    assert await asyncio.gather(*(recent.get("a", make) for _ in range(5))) == [b"1"] * 5
    clock.seconds += 0.6
    assert await recent.get("a", make) == b"2"
    generation[0] = object()
    assert await refusal(recent.get("a", make)) == "no_such_product"
    assert await refusal(recent.get("a", make)) == "no_such_product"
    assert len(made) == 3
    assert await recent.get("b", make) == b"4"
    assert await recent.get("c", make) == b"5"
    assert await recent.get("a", make) == b"6"


SVG = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'


@pytest.mark.parametrize(
    "svg",
    [
        "<svg",
        "<svg/>",
        SVG.format("<script>alert(1)</script>"),
        SVG.format('<rect onload="alert(1)"/>'),
        SVG.format("<foreignObject/>"),
        SVG.format("<style>@import 'x'</style>"),
        SVG.format('<use href="https://example.org/x.svg#a"/>'),
        SVG.format('<rect fill="url( https://example.org/x)"/>'),
        '<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG.format("<text>&amp;a;</text>"),
        SVG.format("<text>" + "x" * 70_000 + "</text>"),
    ],
)
def test_an_image_that_does_more_than_draw_is_refused(svg: str) -> None:
    with pytest.raises(CatalogRefused, match="bad_image"):
        checked_image("x", svg)


async def test_images_are_replaced_under_their_name(catalog: Catalog) -> None:
    await catalog.put_images([("mug", SVG.format("<rect/>"))])
    first = await catalog.image("mug")
    await catalog.put_images([("mug", SVG.format("<circle/>"))])
    second = await catalog.image("mug")
    assert second.svg == SVG.format("<circle/>")
    assert first.digest != second.digest
    assert await refusal(catalog.put_images([("ok", SVG.format("")), ("../no", SVG.format(""))])) == "bad_image"
    assert await refusal(catalog.image("ok")) == "no_such_image"


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Großer Tisch", "grosser-tisch"),
        ("  Crème Brûlée!", "creme-brulee"),
        ("漢字", ""),
        ("A&B", "a-and-b"),
        ("x" * 200, "x" * 100),
    ],
)
def test_slugs(text: str, slug: str) -> None:
    assert slugify(text) == slug
