"""The invoices of a real shop, from a file of their lines: what was sold, what came back, and what was neither.

The columns are those of the data set Online Retail (UCI Machine Learning Repository): InvoiceNo, StockCode,
Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country. Money becomes whole minor units by way of Decimal.
"""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
RETURN_PREFIX = "C"

NO_PRICE = "price of 0 or less"
NEGATIVE = "no positive quantity, outside a return"
NO_DESCRIPTION = "no description"
POSITIVE_RETURN = "no negative quantity, in a return"
PART_OF_A_PENNY = "price with a part of a penny"


class InvoicesUnreadable(Exception):
    """A text for people: what is wrong with the file, and where."""


class InvoiceLine(NamedTuple):
    """Some units of one stock code. `quantity` is positive, also of a return; `price` in minor units."""

    code: str
    description: str
    quantity: int
    price: int

    @property
    def total(self) -> int:
        return self.quantity * self.price


class Invoice(NamedTuple):
    """`place`: how many invoices stand before it in the file. `customer` is empty where the file names none."""

    number: str
    place: int
    customer: str
    country: str
    lines: tuple[InvoiceLine, ...]

    @property
    def total(self) -> int:
        """Minor units."""
        return sum(line.total for line in self.lines)

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)


class Book(NamedTuple):
    """All invoices in order of their first lines. `left_out`: lines that are neither sold nor returned, by reason."""

    sales: tuple[Invoice, ...]
    returns: tuple[Invoice, ...]
    left_out: Counter[str]
    lines: int


class _Draft:
    def __init__(self, number: str, place: int, row: dict[str, str]) -> None:
        self.number = number
        self.place = place
        self.customer = row["CustomerID"].strip().removesuffix(".0")
        self.country = row["Country"].strip()
        self.lines: list[InvoiceLine] = []

    @property
    def returns(self) -> bool:
        return self.number.startswith(RETURN_PREFIX)


def read_book(path: Path, first: int | None = None) -> Book:
    """The invoices of a .csv or .csv.gz file; with `first` only so many, the first of the file.

    The file is read as a stream, to its end: lines of one invoice need not stand together. Raises InvoicesUnreadable.
    """
    try:
        with path.open("rb") as file, _unpacked(file, path.suffix == ".gz") as unpacked:
            text = io.TextIOWrapper(cast(BinaryIO, unpacked), encoding="utf-8-sig", newline="")
            return collect(csv.DictReader(text), first)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvoicesUnreadable(f"{path}: {error}") from None


@contextmanager
def _unpacked(file: BinaryIO, packed: bool) -> Iterator[object]:
    if packed:
        with gzip.open(file, "rb") as unpacked:
            yield unpacked
    else:
        yield file


def collect(rows: "Iterable[dict[str, str]]", first: int | None = None) -> Book:
    """The invoices that the rows make. Raises InvoicesUnreadable."""
    drafts: dict[str, _Draft] = {}
    left_out: Counter[str] = Counter()
    lines = 0
    for number, row in enumerate(rows, start=2):
        _check(row, number)
        name = row["InvoiceNo"].strip()
        draft = drafts.get(name)
        if draft is None:
            if first is not None and len(drafts) >= first:
                continue
            draft = drafts[name] = _Draft(name, len(drafts), row)
        lines += 1
        found = line_of(row, draft.returns, number)
        if isinstance(found, InvoiceLine):
            draft.lines.append(found)
        else:
            left_out[found] += 1
    whole = [
        (draft.returns, Invoice(draft.number, draft.place, draft.customer, draft.country, tuple(draft.lines)))
        for draft in drafts.values()
        if draft.lines
    ]
    sales = tuple(invoice for returns, invoice in whole if not returns)
    return Book(sales, tuple(invoice for returns, invoice in whole if returns), left_out, lines)


def line_of(row: dict[str, str], returns: bool, number: int = 0) -> InvoiceLine | str:
    """The line, or why it is not one of a sale or return. Raises InvoicesUnreadable, naming the file's line."""
    try:
        quantity = int(row["Quantity"])
        pounds = Decimal(row["UnitPrice"])
    except (ValueError, InvalidOperation):
        raise InvoicesUnreadable(f"line {number}: Quantity or UnitPrice is not a number") from None
    if not pounds.is_finite():
        raise InvoicesUnreadable(f"line {number}: UnitPrice is not a number")
    description = " ".join(row["Description"].split())
    if not description:
        return NO_DESCRIPTION
    if quantity <= 0 and not returns:
        return NEGATIVE
    if quantity >= 0 and returns:
        return POSITIVE_RETURN
    if pounds <= 0:
        return NO_PRICE
    pence = pounds * 100
    if pence != pence.to_integral_value():
        return PART_OF_A_PENNY
    return InvoiceLine(row["StockCode"].strip(), description, abs(quantity), int(pence))


def _check(row: dict[str, str], number: int) -> None:
    if any(row.get(column) is None for column in COLUMNS):
        raise InvoicesUnreadable(f"line {number}: needs the columns {', '.join(COLUMNS)}")
