"""The files that products come from and go to, CSV and JSON Lines: one row, one product.

CSV: UTF-8 with a header. JSON Lines: one object a line. Columns: sku, name, category (``Home/Kitchen/Mugs``), price (a
decimal number of the major unit) or price_minor (an integer), and if wanted slug, description, image, stock, tax_class,
status, specifications (a JSON object) and ``spec:NAME`` (one column, one specification). Other columns are refused.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Literal, TextIO

import msgspec

from serve.catalog.schemas import CatalogRefused, Product, ProductDraft, Sku
from serve.catalog.slugs import category_steps

Format = Literal["csv", "jsonl"]
MAX_STOCK = 1_000_000_000
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TEXT = ("name", "category", "description", "slug", "image", "tax_class", "status")
_COLUMNS = frozenset({"sku", "price", "price_minor", "stock", "specifications", *_TEXT})
_EXPORTED = (
    "sku",
    "slug",
    "name",
    "category",
    "price",
    "tax_class",
    "status",
    "image",
    "description",
    "specifications",
)


class FileRefused(Exception):
    """The file cannot be read as what it should be; nothing of it from here on is."""


class RefusedLine(msgspec.Struct, frozen=True):
    """A row that was not taken, the line on which it begins, and why."""

    line: int
    sku: str
    reason: str


class Row(msgspec.Struct, frozen=True):
    """A row that describes a product. `stock`: units to be received, if the row says."""

    line: int
    sku: str
    draft: ProductDraft
    stock: int | None


def read_rows(file: BinaryIO, form: Format, minor_digits: int = 2) -> Iterator[Row | RefusedLine]:
    """Every row of the file in order. `minor_digits`: decimals of the currency. Raises `FileRefused`."""
    for line, fields in _csv_fields(file) if form == "csv" else _json_fields(file):
        if isinstance(fields, str):
            yield RefusedLine(line, "", fields)
            continue
        sku = str(fields.get("sku") or "").strip()
        try:
            yield _row(line, sku, fields, minor_digits)
        except (ValueError, CatalogRefused) as error:
            reason = error.detail if isinstance(error, CatalogRefused) else str(error)
            yield RefusedLine(line, sku[:80], reason)


def _csv_fields(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    # Undecodable bytes become surrogates, so that one bad byte costs its row and not the file.
    lines = (raw.decode("utf-8", "surrogateescape") for raw in file)
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
        _check_header(header)
        begins = reader.line_num + 1
        for cells in reader:
            if cells:
                yield begins, _cells(header, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise FileRefused(f"Line {reader.line_num}: {error}.") from None


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in ("sku", "name", "category") if name not in header]
    if "price" not in header and "price_minor" not in header:
        missing.append("price or price_minor")
    if missing:
        raise FileRefused(f"The header lacks {', '.join(missing)}.")
    unknown = [name for name in header if name not in _COLUMNS and not name.startswith("spec:")]
    if unknown:
        raise FileRefused(f"The header has unknown columns: {', '.join(map(repr, unknown))}.")
    if len(set(header)) < len(header):
        raise FileRefused("The header names a column twice.")


def _cells(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, Any] | str:
    if len(cells) > len(header):
        return f"has {len(cells)} cells, the header {len(header)}"
    fields: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return "is not UTF-8"
    if "specifications" in fields:
        try:
            fields["specifications"] = json.loads(fields["specifications"])
        except ValueError:
            return "specifications: not JSON"
    return fields


def _json_fields(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for line, raw in enumerate(file, start=1):
        if not raw.strip():
            continue
        try:
            fields = json.loads(raw.decode("utf-8-sig" if line == 1 else "utf-8"), parse_float=Decimal)
        except UnicodeDecodeError:
            yield line, "is not UTF-8"
        except (ValueError, RecursionError):
            yield line, "is not JSON"
        else:
            yield line, fields if isinstance(fields, dict) else "is not a JSON object"


def _row(line: int, sku: str, fields: Mapping[str, Any], minor_digits: int) -> Row:
    unknown = [name for name in fields if name not in _COLUMNS and not name.startswith("spec:")]
    if unknown:
        raise ValueError(f"unknown columns: {', '.join(map(repr, unknown))}")
    values: dict[str, Any] = {name: fields[name] for name in _TEXT if fields.get(name) not in (None, "")}
    values["price"] = _price(fields, minor_digits)
    values["specifications"] = _specifications(fields)
    try:
        msgspec.convert(sku, Sku)
    except msgspec.ValidationError:
        raise ValueError(f"sku: {sku[:80]!r} is not 1 to 64 letters, digits, '.', '_' or '-'") from None
    try:
        draft = msgspec.convert(values, ProductDraft)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$.")
        raise ValueError(f"{where.rstrip('`')}: {problem}" if where else problem) from None
    category_steps(draft.category)
    try:
        msgspec.json.encode(draft)
    except UnicodeEncodeError:
        raise ValueError("has half of a character (a lone surrogate)") from None
    stock = fields.get("stock")
    return Row(line, sku, draft, None if stock in (None, "") else _whole("stock", stock, MAX_STOCK))


def _price(fields: Mapping[str, Any], minor_digits: int) -> int:
    minor, major = fields.get("price_minor"), fields.get("price")
    if minor not in (None, ""):
        if major not in (None, ""):
            raise ValueError("price: give price or price_minor, not both")
        return _whole("price_minor", minor, 1_000_000_000)
    if isinstance(major, bool) or not isinstance(major, str | int | Decimal):
        raise ValueError("price: missing" if major is None else "price: not a number")
    text = str(major).strip()
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"price: {text[:40]!r} is not a decimal number such as 12.50")
    exact = Decimal(text).scaleb(minor_digits)
    if exact != exact.to_integral_value():
        raise ValueError(f"price: {text} has more than {minor_digits} decimals")
    return int(exact)


def _whole(name: str, value: Any, highest: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > highest:
        raise ValueError(f"{name}: {text[:40]!r} is not a whole number from 0 to {highest}")
    return int(text)


def _specifications(fields: Mapping[str, Any]) -> dict[str, str]:
    given = fields.get("specifications") or {}
    if not isinstance(given, dict):
        raise ValueError("specifications: not a JSON object")
    merged: dict[str, Any] = dict(given)
    merged.update((name[5:].strip(), value) for name, value in fields.items() if name.startswith("spec:"))
    for name, value in merged.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise ValueError(f"specifications: {str(name)[:80]!r} is neither text nor a number")
    return {str(name): str(value) for name, value in merged.items()}


def write_rows(
    file: TextIO, form: Format, products: Iterable[tuple[Product, str]], minor_digits: int = 2, *, header: bool = True
) -> None:
    """Writes (product, its category as a path of names) so that reading it changes nothing; `header` is CSV's."""
    writer = csv.writer(file, lineterminator="\n")
    if form == "csv" and header:
        writer.writerow(_EXPORTED)
    for product, category in products:
        fields: dict[str, Any] = {name: getattr(product, name) for name in _EXPORTED} | {"category": category}
        fields["price"] = f"{Decimal(product.price).scaleb(-minor_digits):f}"
        if form == "csv":
            fields["specifications"] = json.dumps(product.specifications, ensure_ascii=False)
            writer.writerow([fields[name] for name in _EXPORTED])
        else:
            file.write(
                json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)
                + "\n"
            )
