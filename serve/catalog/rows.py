"""The files that products come from, CSV and JSON Lines: one row, one variant.

CSV: UTF-8 with a header. JSON Lines: one object a line. The README of this folder says what the columns are.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Literal, TypeVar

import msgspec

from serve.catalog.facets import known_type, typed_attributes
from serve.catalog.schemas import CatalogRefused, Sku, VariantDraft
from serve.catalog.slugs import category_steps

Format = Literal["csv", "jsonl"]
Converted = TypeVar("Converted")
MAX_STOCK = 1_000_000_000
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TEXT = ("name", "category", "description", "slug", "image", "tax_class", "status")
_OBJECTS = ("specifications", "attributes", "options")
_OF_VARIANTS = frozenset({"sku", "price", "price_minor", "stock", "options", "variant_image", "variant_status"})
_COLUMNS = _OF_VARIANTS | {"product", "related", "specifications", "attributes", *_TEXT}
_PREFIXES = ("spec:", "attribute:", "option:")


class FileRefused(Exception):
    """The file cannot be read as what it should be; nothing of it from here on is."""


class RefusedLine(msgspec.Struct, frozen=True):
    """A row that was not taken, the line on which it begins, and why. `product`: as of `Row`; None if unreadable."""

    line: int
    sku: str
    reason: str
    product: str | None = None


class Row(msgspec.Struct, frozen=True):
    """A variant, and what the row says of its product, whose key is `product` (empty: it is the SKU).

    `bare`: only price and SKU are said of the variant. `stock`: units to be received, if the row says.
    """

    line: int
    sku: str
    product: str
    about: dict[str, Any]
    variant: VariantDraft
    bare: bool
    stock: int | None


def read_rows(file: BinaryIO, form: Format, minor_digits: int = 2) -> Iterator[Row | RefusedLine]:
    """Every row of the file in order. `minor_digits`: decimals of the currency. Raises `FileRefused`."""
    for line, fields in _csv_fields(file) if form == "csv" else _json_fields(file):
        if isinstance(fields, str):
            yield RefusedLine(line, "", fields)
            continue
        sku, product = (str(fields.get(name) or "").strip() for name in ("sku", "product"))
        try:
            yield _row(line, sku, product, fields, minor_digits)
        except (ValueError, CatalogRefused) as error:
            reason = error.detail if isinstance(error, CatalogRefused) else str(error)
            yield RefusedLine(line, sku[:80], reason, product[:80])


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
    unknown = _unknown(header)
    if unknown:
        raise FileRefused(f"The header has unknown columns: {', '.join(map(repr, unknown))}.")
    if untyped := [name for name in header if not known_type(name)]:
        raise FileRefused(f"The header has unknown types: {', '.join(map(repr, untyped))}.")
    if len(set(header)) < len(header):
        raise FileRefused("The header names a column twice.")


def _cells(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, Any] | str:
    if len(cells) > len(header):
        return f"has {len(cells)} cells, the header {len(header)}"
    fields: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return "is not UTF-8"
    for name in _OBJECTS:
        if name in fields:
            try:
                fields[name] = json.loads(fields[name])
            except (ValueError, RecursionError):
                return f"{name}: not JSON"
    if "related" in fields:
        fields["related"] = [part.strip() for part in fields["related"].split("|")]
    return fields


def _unknown(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in _COLUMNS and not name.startswith(_PREFIXES)]


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


def _row(line: int, sku: str, product: str, fields: Mapping[str, Any], minor_digits: int) -> Row:
    unknown = _unknown(list(fields))
    if unknown:
        raise ValueError(f"unknown columns: {', '.join(map(repr, unknown))}")
    price = _price(fields, minor_digits)
    about = {name: fields[name] for name in (*_TEXT, "related") if fields.get(name) not in (None, "")}
    if specifications := _specifications(fields):
        about["specifications"] = specifications
    if attributes := typed_attributes(fields):
        about["attributes"] = attributes
    for name, key in (("sku", sku), ("product", product or sku)):
        try:
            msgspec.convert(key, Sku)
        except msgspec.ValidationError:
            raise ValueError(f"{name}: {key[:80]!r} is not 1 to 64 letters, digits, '.', '_' or '-'") from None
    said = {
        "options": _options(fields),
        "image": fields.get("variant_image") or None,
        "status": fields.get("variant_status") or "active",
    }
    variant = converted({"sku": sku, "price": price, **said}, VariantDraft)
    if "category" in about:
        category_steps(converted(about["category"], str))
    try:
        msgspec.json.encode((about, variant))
    except UnicodeEncodeError:
        raise ValueError("has half of a character (a lone surrogate)") from None
    bare = not product and not any(said[name] for name in ("options", "image")) and said["status"] == "active"
    stock = fields.get("stock")
    units = None if stock in (None, "") else _whole("stock", stock, MAX_STOCK)
    return Row(line, sku, product, about, variant, bare, units)


def converted(value: Any, kind: type[Converted]) -> Converted:
    """Raises ValueError that says what is wrong and where."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$.")
        raise ValueError(f"{where.rstrip('`')}: {problem}" if where else problem) from None


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
    return _texts(fields, "specifications", "spec:")


def _options(fields: Mapping[str, Any]) -> dict[str, str]:
    return _texts(fields, "options", "option:")


def _texts(fields: Mapping[str, Any], column: str, prefix: str) -> dict[str, str]:
    given = fields.get(column) or {}
    if not isinstance(given, dict):
        raise ValueError(f"{column}: not a JSON object")
    merged: dict[str, Any] = dict(given)
    merged.update((name.removeprefix(prefix).strip(), fields[name]) for name in fields if name.startswith(prefix))
    for name, value in merged.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise ValueError(f"{column}: {str(name)[:80]!r} is neither text nor a number")
    return {str(name): str(value) for name, value in merged.items()}
