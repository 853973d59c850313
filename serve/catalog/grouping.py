"""Rows of a file become products: rows that name the same product, one below the other, are its variants."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from serve.catalog.rows import RefusedLine, Row, converted
from serve.catalog.schemas import ProductDraft

MAX_ROWS = 200
"""Variants of a product."""


class Group(msgspec.Struct, frozen=True):
    """The rows of one product: either all of them make its draft, or all are refused."""

    key: str
    rows: list[Row]
    draft: ProductDraft | None
    refused: list[RefusedLine]

    @property
    def size(self) -> int:
        """How many rows of the file these are."""
        return len(self.refused) if self.draft is None else len(self.rows)

    def refuse(self, reason: str) -> list[RefusedLine]:
        """Each of the rows, refused because the catalogue does not take the product."""
        return _refused(self.rows, self.rows[0].line, reason)


def read_groups(rows: Iterable[Row | RefusedLine]) -> Iterator[Group]:
    """The products of a file, in order; what cannot be read is by itself.

    A line that cannot be read may be one of the product above it, or of the one below: neither is taken then if its
    rows name it, since without one of its variants a product would lose it.
    """
    seen: _Seen = _Seen()
    gathering: _Gathering | None = None
    unread: int | None = None
    for row in rows:
        if isinstance(row, RefusedLine) and row.product is None:
            unread = row.line
            if gathering is not None and gathering.named:
                gathering.broken = gathering.broken or unread
            yield Group("", [], None, [row])
            continue
        if gathering is None or not gathering.goes_on(row):
            if gathering is not None:
                yield gathering.group()
            gathering = _Gathering(row, seen, unread)
        gathering.add(row)
        unread = None
    if gathering is not None:
        yield gathering.group()


class _Seen:
    """Which SKUs and products of the file have come, and in which line."""

    def __init__(self) -> None:
        self._skus: dict[str, int] = {}
        self._keys: dict[str, int] = {}

    def enter(self, row: Row, key: str, *, first: bool) -> str | None:
        """Why the row cannot be taken, if so; else it is remembered."""
        if row.sku in self._skus:
            return f"sku: stands in line {self._skus[row.sku]} already"
        if first and key in self._keys:
            return f"product: {key} is in line {self._keys[key]} already; its rows must stand together"
        self._skus[row.sku] = row.line
        if first:
            self._keys[key] = row.line
        return None


class _Gathering:
    """The rows of a product so far. `broken`: the line for which it is not taken."""

    def __init__(self, first: Row | RefusedLine, seen: _Seen, unread: int | None) -> None:
        self.named = bool(first.product)
        self.broken = unread if self.named else None
        self._key = first.product or first.sku
        self._seen = seen
        self._rows: list[Row] = []
        self._refused: list[RefusedLine] = []

    def goes_on(self, row: Row | RefusedLine) -> bool:
        return self.named and row.product == self._key

    def add(self, row: Row | RefusedLine) -> None:
        if isinstance(row, Row):
            full = f"product: has more than {MAX_ROWS} rows" if len(self._rows) >= MAX_ROWS else None
            reason = full or self._seen.enter(row, self._key, first=not self._rows) or self._differs(row)
            if reason is None:
                self._rows.append(row)
                return
            row = RefusedLine(row.line, row.sku, reason)
        self._refused.append(row)
        self.broken = self.broken or row.line

    def _differs(self, row: Row) -> str | None:
        if self._rows:
            first = self._rows[0]
            for name, value in row.about.items():
                said = first.about.get(name)
                agrees = said == value or (
                    isinstance(said, dict) and isinstance(value, dict) and said.items() >= value.items()
                )
                if not agrees:
                    return f"{name}: differs from line {first.line}"
        return None

    def group(self) -> Group:
        if self.broken is None:
            try:
                return Group(self._key, self._rows, _draft(self._rows), [])
            except ValueError as error:
                return Group(self._key, [], None, _refused(self._rows, self._rows[0].line, str(error)))
        refused = self._refused + _refused(self._rows, self.broken, "")
        return Group(self._key, [], None, sorted(refused, key=lambda line: line.line))


def _refused(rows: list[Row], line: int, reason: str) -> list[RefusedLine]:
    return [
        RefusedLine(row.line, row.sku, reason if row.line == line else f"product: line {line} of it was refused")
        for row in rows
    ]


def _draft(rows: list[Row]) -> ProductDraft:
    first = rows[0]
    sold: dict[str, Any] = {"variants": [row.variant for row in rows]}
    if len(rows) == 1 and first.bare:
        sold = {"price": first.variant.price}
    return converted({**first.about, **sold}, ProductDraft)
