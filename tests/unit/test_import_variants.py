"""Files of products with variants: which rows belong together, what is refused with what, and what a dry run says."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve.catalog.exporting import export_products
from serve.catalog.importing import Planned, Progress, import_products
from serve.catalog.rows import FileRefused, Format
from serve.catalog.schemas import CatalogRefused, ProductDraft
from serve.catalog.service import Catalog
from serve.cli.catalog import register


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    made = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}", clock=lambda: 1_750_000_000_000)
    yield made
    await made.close()


async def imported(catalog: Catalog, content: str, form: Format = "csv", *, keep: bool = True) -> Progress:
    steps = [step async for step in import_products(catalog, io.BytesIO(content.encode()), form, keep=keep)]
    assert len(steps) == 1
    return steps[0]


SHIRTS = """\
product,sku,name,category,price,stock,option:size,option:colour,attribute:material,attribute:weight:number,\
attribute:washable:boolean,attribute:season:list,related,variant_image,variant_status,image
SHIRT,SHIRT-S,Shirt,Clothes,49,3,S,ink,linen,0.25,yes,spring | summer,MUG|HAT,shirt-ink,,shirt
SHIRT,SHIRT-M,,,51.5,4,M,ink,,,,,,,gone,
SHIRT,SHIRT-L,Shirt,,53,,L,ink,linen,,,,,,,
,MUG,Mug,Mugs,12,1,,,stoneware,350,,,,,,
"""


async def test_rows_of_one_product_are_its_variants(catalog: Catalog) -> None:
    progress = await imported(catalog, SHIRTS)
    assert (progress.rows, progress.created, progress.refused) == (4, 2, [])
    assert [(sku, units) for sku, units, _ in progress.stock] == [("SHIRT-S", 3), ("SHIRT-M", 4), ("MUG", 1)]
    shirt = await catalog.product_of_sku("SHIRT")
    assert [(one.sku, one.options, one.price, one.status, one.image) for one in shirt.variants] == [
        ("SHIRT-S", {"size": "S", "colour": "ink"}, 4900, "active", "/api/catalog/images/shirt-ink.svg"),
        ("SHIRT-M", {"size": "M", "colour": "ink"}, 5150, "gone", "/api/catalog/images/shirt.svg"),
        ("SHIRT-L", {"size": "L", "colour": "ink"}, 5300, "active", "/api/catalog/images/shirt.svg"),
    ]
    assert shirt.attributes == {
        "material": "linen",
        "weight": 0.25,
        "washable": True,
        "season": ["spring", "summer"],
    }
    assert [one.sku for one in shirt.related] == ["MUG"]
    assert (await catalog.product_of_sku("MUG")).attributes == {"material": "stoneware", "weight": 350}


async def test_a_product_is_refused_whole_when_one_of_its_rows_is(catalog: Catalog) -> None:
    progress = await imported(
        catalog,
        """\
product,sku,name,category,price,option:size,attribute:weight:number
A,A-S,A,Things,1,S,
A,A-M,A,Things,x,M,
A,A-L,A,Things,1,L,
B,B-S,B,Things,1,S,
B,B-M,Other,Things,1,M,
C,C-S,C,Things,1,S,
C,C-M,C,Things,1,S,
D,D-S,D,Things,1,S,
E,E-S,E,Things,1,S,
D,D-M,D,Things,1,M,
F,F-S,F,Things,1,S,
F,F-S,F,Things,1,M,
,G,G,Things,1,,heavy
H,H-S,,Things,1,S,
""",
    )
    assert [(line.line, line.sku, line.reason) for line in progress.refused] == [
        (2, "A-S", "product: line 3 of it was refused"),
        (3, "A-M", "price: 'x' is not a decimal number such as 12.50"),
        (4, "A-L", "product: line 3 of it was refused"),
        (5, "B-S", "product: line 6 of it was refused"),
        (6, "B-M", "name: differs from line 5"),
        (7, "C-S", "Two variants have the same options: nobody could choose."),
        (8, "C-M", "product: line 7 of it was refused"),
        (11, "D-M", "product: D is in line 9 already; its rows must stand together"),
        (12, "F-S", "product: line 13 of it was refused"),
        (13, "F-S", "sku: stands in line 12 already"),
        (14, "G", "attribute:weight:number: 'heavy' is not a number"),
        (15, "H-S", "Object missing required field `name`"),
    ]
    assert (progress.rows, progress.created, progress.refused_in_all) == (14, 2, 12)
    assert [product.key for product in await catalog.products_after("")] == ["D", "E"]


async def test_an_unreadable_line_takes_the_variants_beside_it_along(catalog: Catalog) -> None:
    progress = await imported(
        catalog,
        "product,sku,name,category,price,option:size\n"
        "A,A-S,A,Things,1,S\nA,A-M,A,Things,1,M,,,\nA,A-L,A,Things,1,L\n"
        "B,B-S,B,Things,1,S\nB,B-M,B,Things,1,M,,,\nC,C-S,C,Things,1,S\n,D,D,Things,1,\n",
    )
    assert [(line.line, line.reason) for line in progress.refused] == [
        (2, "product: line 3 of it was refused"),
        (3, "has 9 cells, the header 6"),
        (4, "product: line 3 of it was refused"),
        (5, "product: line 6 of it was refused"),
        (6, "has 9 cells, the header 6"),
        (7, "product: line 6 of it was refused"),
    ]
    assert [product.key for product in await catalog.products_after("")] == ["D"]


async def test_a_row_without_its_product_does_not_take_variants_away(catalog: Catalog) -> None:
    await imported(catalog, SHIRTS)
    progress = await imported(catalog, "sku,name,category,price\nSHIRT,Shirt,Clothes,1\nSHIRT-S,Shirt,Clothes,1\n")
    assert [line.reason for line in progress.refused] == [
        "SHIRT has variants: say which it shall have from now on.",
        "SHIRT-S is a variant of SHIRT.",
    ]
    assert len((await catalog.product_of_sku("SHIRT")).variants) == 3


async def test_json_lines_have_typed_values(catalog: Catalog) -> None:
    lines = [
        {"product": "A", "sku": "A-1", "name": "A", "category": "T", "price": 1.5, "options": {"size": 1}}
        | {"attributes": {"weight": 2.5, "count": 3, "new": True, "tags": ["x", "y"]}, "attribute:colour": "red"},
        {"product": "A", "sku": "A-2", "price_minor": 160, "option:size": "2"},
        {"sku": "B", "name": "B", "category": "T", "price": 1, "attributes": [1]},
        {"sku": "C", "name": "C", "category": "T", "price": 1, "attributes": {"a": {"b": 1}}},
        {"sku": "D", "name": "D", "category": "T", "price": 1, "options": {"size": []}},
        {"sku": "E", "name": "E", "category": "T", "price": 1, "related": "not a list"},
    ]
    content = (
        "\n".join(map(json.dumps, lines)) + '\n{"sku":"F","name":"F","category":"T","price":1,"attribute:w":1e999}'
    )
    progress = await imported(catalog, content, "jsonl")
    assert [(line.line, line.reason) for line in progress.refused] == [
        (3, "attributes: not a JSON object"),
        (4, "attributes[...]: Expected `bool | int | float | str | array`, got `object`"),
        (5, "options: 'size' is neither text nor a number"),
        (6, "related: Expected `array`, got `str`"),
        (7, "w is not a finite number."),
    ]
    made = await catalog.product_of_sku("A")
    assert made.attributes == {"weight": 2.5, "count": 3, "new": True, "tags": ["x", "y"], "colour": "red"}
    assert [(one.options, one.price) for one in made.variants] == [({"size": "1"}, 150), ({"size": "2"}, 160)]


async def test_a_header_with_a_type_that_is_none_is_refused(catalog: Catalog) -> None:
    with pytest.raises(FileRefused, match="unknown types: 'attribute:w:weight'"):
        await imported(catalog, "sku,name,category,price,attribute:w:weight\n")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_what_is_exported_comes_back_whole(catalog: Catalog, tmp_path: Path, form: Format) -> None:
    await imported(catalog, SHIRTS)
    out = io.StringIO(newline="")
    assert await export_products(catalog, out, form) == 2
    assert (await imported(catalog, out.getvalue(), form)).unchanged == 2
    other = Catalog(f"sqlite:///{tmp_path / 'other.db'}", clock=lambda: 1_750_000_000_000)
    try:
        assert (await imported(other, out.getvalue(), form)).created == 2
        for sku in ("SHIRT", "MUG"):
            assert await other.product_of_sku(sku) == await catalog.product_of_sku(sku)
    finally:
        await other.close()


async def test_a_dry_run_says_what_would_change_and_changes_nothing(catalog: Catalog) -> None:
    await imported(catalog, SHIRTS)
    before = await catalog.outbox_log().read(0, 100)
    changed = SHIRTS.replace("51.5", "52").replace("\n,MUG", "\n,CUP").replace("Clothes", "Garments") + ",MUG,M,M,x\n"
    progress = await imported(catalog, changed, keep=False)
    assert progress.planned == [
        Planned(2, "SHIRT", False, ("category", "variants")),
        Planned(5, "CUP", True, progress.planned[1].changes),
    ]
    assert (progress.created, progress.changed, progress.unchanged, progress.refused_in_all) == (1, 1, 0, 1)
    assert await catalog.outbox_log().read(0, 100) == before
    assert [category.path for category in await catalog.all_categories()] == ["clothes", "mugs"]
    assert [product.key for product in await catalog.products_after("")] == ["MUG", "SHIRT"]


def test_the_command_rehearses_without_a_shop_and_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_DATA_DIR", str(tmp_path / "data"))
    app = typer.Typer()
    register(app)
    source = tmp_path / "in.csv"
    source.write_text(SHIRTS + ",BAD,Bad,Things,x,,,,,,,,,,,\n", encoding="utf-8")
    rehearsed = CliRunner().invoke(app, ["catalog", "import", str(source), "--dry-run"])
    assert rehearsed.exit_code == 3
    assert "line 2: SHIRT is new" in rehearsed.output
    assert "line 6: BAD price: 'x' is not a decimal number" in rehearsed.output
    assert "2 products would be created, 0 changed, 0 are as before, 1 lines would be refused, 8 units received." in (
        rehearsed.output
    )
    assert not (tmp_path / "data" / "catalog.db").exists()


async def test_a_product_has_at_most_two_hundred_variants(catalog: Catalog) -> None:
    rows = [f"A,A-{n},A,Things,1,{n}" for n in range(201)]
    progress = await imported(catalog, "\n".join(["product,sku,name,category,price,option:size", *rows]))
    refused = [(line.line, line.reason) for line in progress.refused]
    # All or nothing: a product that lacks one of its variants would be another one.
    assert refused == [
        *((line, "product: line 202 of it was refused") for line in range(2, 202)),
        (202, "product: has more than 200 rows"),
    ]
    with pytest.raises(CatalogRefused):
        await catalog.product_of_sku("A")


async def test_a_bare_row_keeps_the_options_of_the_only_variant(catalog: Catalog) -> None:
    content = "product,sku,name,category,price,option:size\nA,A,A,Things,1,S\n"
    await imported(catalog, content)
    await catalog.put_product("A", ProductDraft(name="A", category="Things", price=2))
    assert [(one.options, one.price) for one in (await catalog.product_of_sku("A")).variants] == [({"size": "S"}, 2)]
