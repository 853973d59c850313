"""Files of products in and out: what is kept, what is refused and why, and that nothing is lost on the way back."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from serve.catalog.exporting import export_products
from serve.catalog.importing import BATCH, Progress, import_products, receive
from serve.catalog.rows import FileRefused, Format
from serve.catalog.schemas import ProductChange, ProductDraft
from serve.catalog.service import Catalog
from serve.cli.catalog import StockNotReceived, receives_stock, register


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    made = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}", clock=lambda: 1_750_000_000_000)
    yield made
    await made.close()


async def imported(catalog: Catalog, content: str | bytes, form: Format = "csv") -> list[Progress]:
    raw = content.encode() if isinstance(content, str) else content
    return [progress async for progress in import_products(catalog, io.BytesIO(raw), form)]


CSV = """\ufeffsku,name,category,price,stock,description,spec:Colour,specifications
A,Blue mug,Home/Kitchen/Mugs,12.50,40,"Holds tea,
and coffee.",blue,"{""Capacity"": ""350 ml""}"
B,Red mug,Home/Kitchen/Mugs,13,,,red,
,No sku,Home,1,,,,
C,No price,Home,,,,,
D,Bad price,Home,"1,50",,,,
E,Three decimals,Home,1.505,,,,
F,Negative,Home,-1,,,,
G,,Home,1,,,,
A,Twice,Home,1,,,,
H,Bad stock,Home,1,-4,,,
I,Bad specifications,Home,1,,,,{
J,Nowhere,//,1,,,,
K,Too many,Home,1,,,,,,,
L L,Bad sku,Home,1,,,,
M,Lamp,Home/Lamps,0.10,0,,,
"""


async def test_every_bad_line_is_told_with_its_reason_and_every_good_one_is_kept(catalog: Catalog) -> None:
    (progress,) = await imported(catalog, CSV)
    assert [(line.line, line.sku, line.reason) for line in progress.refused] == [
        (5, "", "sku: '' is not 1 to 64 letters, digits, '.', '_' or '-'"),
        (6, "C", "price: missing"),
        (7, "D", "price: '1,50' is not a decimal number such as 12.50"),
        (8, "E", "price: 1.505 has more than 2 decimals"),
        (9, "F", "price: '-1' is not a decimal number such as 12.50"),
        (10, "G", "Object missing required field `name`"),
        (11, "A", "sku: stands in line 2 already"),
        (12, "H", "stock: '-4' is not a whole number from 0 to 1000000000"),
        (13, "", "specifications: not JSON"),
        (14, "J", "'//' has a step without a name."),
        (15, "", "has 11 cells, the header 8"),
        (16, "L L", "sku: 'L L' is not 1 to 64 letters, digits, '.', '_' or '-'"),
    ]
    assert (progress.rows, progress.created, progress.refused_in_all) == (15, 3, 12)
    assert [(sku, quantity) for sku, quantity, _ in progress.stock] == [("A", 40)]
    mug = await catalog.product("blue-mug")
    assert (mug.price, mug.description) == (1250, "Holds tea,\nand coffee.")
    assert mug.specifications == {"Capacity": "350 ml", "Colour": "blue"}
    assert [step.name for step in mug.trail] == ["Home", "Kitchen", "Mugs"]
    assert [product.variants[0].price for product in await catalog.products_after("")] == [1250, 1300, 10]


async def test_json_lines(catalog: Catalog) -> None:
    lines = """\
{"sku": "A", "name": "Mug", "category": "Mugs", "price": 12.5, "stock": 3, "specifications": {"kg": 0.3}, "spec:I": "b"}

{"sku": "B", "name": "Mug", "category": "Mugs", "price_minor": 1999}
{"sku": "C", "name": "Mug", "category": "Mugs", "price_minor": 1, "price": 1}
{"sku": "D", "name": "Mug", "category": "Mugs", "price": 1, "colour": "x"}
{"sku": "E", "name": 5, "category": "Mugs", "price": 1}
{"sku": "F", "name": "\\ud800", "category": "Mugs", "price": 1}
{"sku": "G", "name": "Mug", "category": "Mugs", "price": NaN}
{"sku": "H", "name": "Mug", "category": "Mugs", "price": 1, "specifications": {"a": []}}
[1]
nonsense
"""
    (progress,) = await imported(catalog, lines, "jsonl")
    assert [(line.line, line.reason) for line in progress.refused] == [
        (4, "price: give price or price_minor, not both"),
        (5, "unknown columns: 'colour'"),
        (6, "name: Expected `str`, got `int`"),
        (7, "has half of a character (a lone surrogate)"),
        (8, "price: not a number"),
        (9, "specifications: 'a' is neither text nor a number"),
        (10, "is not a JSON object"),
        (11, "is not JSON"),
    ]
    mugs = await catalog.products_after("")
    assert [(mug.variants[0].price, mug.slug) for mug in mugs] == [(1250, "mug"), (1999, "mug-2")]
    assert mugs[0].specifications == {"kg": "0.3", "I": "b"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "lacks sku, name, category, price or price_minor"),
        ("sku,name,category,price,colour\n", "unknown columns: 'colour'"),
        ("sku,name,category,price,price\n", "twice"),
        ('sku,name,category,price\nA,"never closed,b,1\n', "unexpected end of data"),
    ],
)
async def test_a_file_that_is_none_is_refused(catalog: Catalog, content: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        await imported(catalog, content)


async def test_one_bad_byte_costs_one_line(catalog: Catalog) -> None:
    (progress,) = await imported(catalog, b"sku,name,category,price\nA,caf\xe9,Mugs,1\nB,caf\xc3\xa9,Mugs,1\n")
    assert [(line.line, line.reason) for line in progress.refused] == [(2, "is not UTF-8")]
    assert (await catalog.product_of_sku("B")).name == "café"


async def test_a_long_file_goes_in_batches_and_the_same_again_changes_nothing(catalog: Catalog) -> None:
    rows = [f"S{n},Mug {n},Mugs/M{n % 7},{n}.00,5" for n in range(BATCH * 2 + 1)]
    content = "\n".join(["sku,name,category,price,stock", *rows])
    steps = await imported(catalog, content)
    assert [(step.rows, step.created, len(step.stock)) for step in steps] == [
        (500, 500, 500),
        (1000, 1000, 500),
        (1001, 1001, 1),
    ]
    again = await imported(catalog, content)
    assert (again[-1].created, again[-1].changed, again[-1].unchanged) == (0, 0, 1001)
    assert again[-1].stock == steps[-1].stock
    assert len(await catalog.outbox_log().read(0, 2000)) == 1001


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_what_is_exported_can_be_imported_and_nothing_changes(
    catalog: Catalog, tmp_path: Path, form: Format
) -> None:
    await catalog.put_product(
        "A",
        ProductDraft(
            name='The "big" one, ×2',
            category="Home/Tea & Coffee",
            price=5,
            description="Line one.\r\nLine; two",
            image="a",
        ),
    )
    await catalog.put_product(
        "B", ProductDraft(name="=1+1", category="Home", price=0, specifications={"Größe": "", "b": " x "})
    )
    await catalog.patch_product("B", ProductChange(status="gone", slug="something-else", tax_class="reduced"))
    out = io.StringIO(newline="")
    assert await export_products(catalog, out, form) == 2
    (same,) = await imported(catalog, out.getvalue(), form)
    assert (same.refused, same.unchanged, same.rows) == ([], 2, 2)

    other = Catalog(f"sqlite:///{tmp_path / 'other.db'}", clock=lambda: 1_750_000_000_000)
    try:
        (copied,) = await imported(other, out.getvalue(), form)
        assert (copied.refused, copied.created) == ([], 2)
        for sku in "AB":
            copy, original = await other.product_of_sku(sku), await catalog.product_of_sku(sku)
            assert [
                getattr(copy, name) for name in ("slug", "name", "price", "description", "specifications", "image")
            ] == [
                getattr(original, name) for name in ("slug", "name", "price", "description", "specifications", "image")
            ]
            assert (copy.trail, copy.status, copy.tax_class) == (original.trail, original.status, original.tax_class)
    finally:
        await other.close()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_an_empty_catalogue_is_exported_as_an_empty_file(catalog: Catalog, form: Format) -> None:
    out = io.StringIO(newline="")
    assert await export_products(catalog, out, form) == 0
    assert out.getvalue().count("\n") == (1 if form == "csv" else 0)
    assert await imported(catalog, out.getvalue(), form) == []


async def test_stock_is_received_to_the_last_item_or_the_error_is_told() -> None:
    got: list[str] = []

    async def take(sku: str, quantity: int, key: str) -> None:
        if sku == "S7":
            raise TimeoutError(f"{key} {quantity}")
        got.append(sku)

    with pytest.raises(TimeoutError, match="k7 7"):
        await receive([(f"S{n}", n, f"k{n}") for n in range(40)], take)
    assert sorted(got) == sorted(f"S{n}" for n in range(40) if n != 7)


def command() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_the_command_imports_and_exports_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_DATA_DIR", str(tmp_path / "data"))
    source, copy = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("sku,name,category,price,stock\nA,Mug,Mugs,12.50,4\nB,Mug,Mugs,x,\n", encoding="utf-8")
    imported_one = CliRunner().invoke(command(), ["catalog", "import", str(source), "--no-stock"])
    assert imported_one.exit_code == 3
    assert "line 3: B price: 'x' is not a decimal number" in imported_one.output
    assert "1 products created, 0 changed, 0 as before, 1 lines refused." in imported_one.output
    assert CliRunner().invoke(command(), ["catalog", "export", str(copy)]).exit_code == 0
    assert json.loads(copy.read_text(encoding="utf-8"))["price"] == "12.50"
    assert CliRunner().invoke(command(), ["catalog", "import", str(copy), "--no-stock"]).exit_code == 0


def test_the_command_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_DATA_DIR", str(tmp_path / "data"))
    source = tmp_path / "in.xls"
    source.write_text("sku", encoding="utf-8")
    assert CliRunner().invoke(command(), ["catalog", "import", str(source)]).exit_code == 2
    without_shop = CliRunner().invoke(command(), ["catalog", "import", str(source), "--format", "csv"])
    assert without_shop.exit_code == 1
    assert "No shop runs on" in without_shop.output
    lacking = CliRunner().invoke(command(), ["catalog", "import", str(source), "--format", "csv", "--no-stock"])
    assert lacking.exit_code == 1
    assert "The header lacks name, category, price or price_minor." in lacking.output
    assert CliRunner().invoke(command(), ["catalog", "export", "--data", str(tmp_path / "none")]).exit_code == 1


async def test_units_go_to_the_shop_under_their_key_and_wait_while_it_is_busy() -> None:
    asked: list[tuple[str, str, bytes]] = []

    def shop(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers["idempotency-key"], request.content))
        if request.url.path.endswith("/NO/receipts"):
            return httpx.Response(404, json={"code": "unknown_sku"})
        return httpx.Response(503, headers={"retry-after": "0"}) if len(asked) == 1 else httpx.Response(200, json={})

    async with httpx.AsyncClient(transport=httpx.MockTransport(shop), base_url="http://shop") as client:
        await receives_stock(client)("A", 4, "import/x/A")
        with pytest.raises(StockNotReceived, match=r"NO: 404 .*unknown_sku"):
            await receives_stock(client)("NO", 1, "k")
    assert asked[:2] == [("/api/admin/stock/A/receipts", "import/x/A", b'{"quantity":4}')] * 2
