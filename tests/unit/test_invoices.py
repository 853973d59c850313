"""Invoices from a file, the catalogue that they imply, and which sale a return is of."""

import gzip
from pathlib import Path

import pytest

from serve.catalog.service import Catalog
from serve.replay.importing import import_catalogue, products_of, skus_of, units_of
from serve.replay.invoices import (
    NEGATIVE,
    NO_DESCRIPTION,
    NO_PRICE,
    PART_OF_A_PENNY,
    POSITIVE_RETURN,
    Book,
    Invoice,
    InvoiceLine,
    InvoicesUnreadable,
    read_book,
)
from serve.replay.returning import Refund, Unmatched, match

HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = (
    "536365,85123A,WHITE HANGING  HEART ,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom",
    "536366,71053,,56,2010-12-01 08:27:00,0.0,,United Kingdom",
    "536367,POST,POSTAGE,-1,2010-12-01 08:28:00,18.0,,France",
    "C536368,85123A,WHITE HANGING HEART,-2,2010-12-01 09:00:00,2.55,17850.0,United Kingdom",
    "C536368,71053,WHITE METAL LANTERN,1,2010-12-01 09:00:00,3.39,17850.0,United Kingdom",
    "536369,BANK CHARGES,BANK CHARGES,1,2010-12-01 09:10:00,0.1,,EIRE",
    "536369,22423,CAKESTAND,1,2010-12-01 09:10:00,0,,EIRE",
    "536369,22423,CAKESTAND,2,2010-12-01 09:10:00,0.001,,EIRE",
    "536365,85123A,CREAM HANGING HEART,74215,2010-12-01 08:26:00,1.04,17850.0,United Kingdom",
)


def written(path: Path, lines: tuple[str, ...] = LINES, head: str = HEAD) -> Path:
    text = "\n".join((head, *lines)) + "\n"
    if path.suffix == ".gz":
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(params=["a.csv", "a.csv.gz"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Book:
    return read_book(written(tmp_path / request.param))


def test_sales_returns_and_what_is_neither(book: Book) -> None:
    first, second = book.sales
    assert (first.number, first.place, first.customer, first.country) == ("536365", 0, "17850", "United Kingdom")
    assert first.lines == (
        InvoiceLine("85123A", "WHITE HANGING HEART", 6, 255),
        InvoiceLine("71053", "WHITE METAL LANTERN", 6, 339),
        InvoiceLine("85123A", "CREAM HANGING HEART", 74_215, 104),
    )
    assert (first.total, first.units) == (6 * 255 + 6 * 339 + 74_215 * 104, 74_227)
    assert (second.number, second.place, second.customer, second.total) == ("536369", 4, "", 10)
    (returned,) = book.returns
    assert (returned.number, returned.place) == ("C536368", 3)
    assert returned.lines == (InvoiceLine("85123A", "WHITE HANGING HEART", 2, 255),)
    reasons = {NO_DESCRIPTION: 1, NEGATIVE: 1, POSITIVE_RETURN: 1, NO_PRICE: 1, PART_OF_A_PENNY: 1}
    assert (book.left_out, book.lines) == (reasons, 10)


def test_the_first_invoices_are_whole(tmp_path: Path) -> None:
    book = read_book(written(tmp_path / "a.csv"), first=1)
    assert [(sale.number, len(sale.lines)) for sale in book.sales] == [("536365", 3)]
    assert (book.returns, book.lines) == ((), 3)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1,A,B,six,2010,2.55,,UK", "line 2: Quantity or UnitPrice is not a number"),
        ("1,A,B,6,2010,dear,,UK", "line 2: Quantity or UnitPrice is not a number"),
        ("1,A,B,6,2010,NaN,,UK", "line 2: UnitPrice is not a number"),
        ("1,A,B", "line 2: needs the columns InvoiceNo, StockCode"),
    ],
)
def test_unusable_lines_are_named(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(InvoicesUnreadable, match=sentence):
        read_book(written(tmp_path / "a.csv", (line,)))


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(InvoicesUnreadable, match="needs the columns"):
        read_book(written(tmp_path / "other.csv", ("1,2",), head="a,b"))
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(written(tmp_path / "whole.csv.gz").read_bytes()[:60])
    for path in (torn, tmp_path / "none.csv"):
        with pytest.raises(InvoicesUnreadable, match=str(path.name)):
            read_book(path)


def test_codes_become_skus_that_differ() -> None:
    assert skus_of(["BANK CHARGES", "BANK-CHARGES", "85123A", "85123a", "C2", ".!", "é"]) == {
        "BANK CHARGES": "BANK-CHARGES-2",
        "BANK-CHARGES": "BANK-CHARGES",
        "85123A": "85123A",
        "85123a": "85123a",
        "C2": "C2",
        ".!": "code",
        "é": "code-2",
    }


async def test_the_catalogue_that_invoices_imply(book: Book, tmp_path: Path) -> None:
    sales = (*book.sales, Invoice("9", 9, "", "", (InvoiceLine("85123A", "CREAM HANGING HEART", 1, 104),)))
    products = products_of(sales)
    assert {code: (draft.name, draft.price) for code, draft in products.items()} == {
        "85123A": ("CREAM HANGING HEART", 104),
        "71053": ("WHITE METAL LANTERN", 339),
        "BANK CHARGES": ("BANK CHARGES", 10),
    }
    assert units_of(sales) == {"85123A": 74_222, "71053": 6, "BANK CHARGES": 1}
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}", currency="GBP")
    skus = skus_of(products)
    assert await import_catalogue(catalog, products, skus) == 3
    assert await import_catalogue(catalog, products, skus) == 0
    assert (await catalog.product_of_sku("BANK-CHARGES")).price == 10
    await catalog.close()


def invoice(number: str, place: int, *lines: tuple[str, int, int], customer: str = "17850") -> Invoice:
    return Invoice(number, place, customer, "", tuple(InvoiceLine(code, code, units, at) for code, units, at in lines))


def test_a_return_is_of_the_latest_sale_before_it() -> None:
    sales = [
        invoice("1", 0, ("A", 5, 100)),
        invoice("2", 1, ("A", 3, 100), ("A", 1, 90)),
        invoice("3", 9, ("A", 9, 100)),
    ]
    returns = [
        invoice("C4", 4, ("A", 4, 100)),
        invoice("C5", 5, ("A", 1, 100), ("A", 2, 90)),
        invoice("C6", 6, ("A", 3, 1)),
    ]
    refunds, unmatched = match(sales, returns)
    # Sale 2 was paid 390 in all: too little for four at 100.
    assert refunds == [Refund("C4", "1", 400, {"A": 4}), Refund("C5", "2", 280, {"A": 3})]
    assert unmatched == [Unmatched("C6", InvoiceLine("A", "A", 3, 1))]


def test_a_return_of_somebody_else_or_of_nobody_known() -> None:
    sales = [invoice("1", 0, ("A", 5, 100)), invoice("2", 1, ("A", 5, 100), customer="")]
    other, nobody = invoice("C3", 2, ("A", 1, 100), customer="99"), invoice("C4", 3, ("A", 1, 100), customer="")
    assert match(sales, [other, nobody]) == ([], [Unmatched("C3", other.lines[0]), Unmatched("C4", nobody.lines[0])])


def test_one_return_can_be_of_two_sales() -> None:
    sales = [invoice("1", 0, ("A", 5, 100)), invoice("2", 1, ("B", 5, 10))]
    refunds, _ = match(sales, [invoice("C3", 2, ("A", 1, 100), ("B", 2, 10))])
    assert refunds == [Refund("C3", "1", 100, {"A": 1}), Refund("C3", "2", 20, {"B": 2})]
