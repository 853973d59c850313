"""Many products at once: from a file into the catalogue, and out again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO, TextIO

import msgspec

from serve.catalog.rows import Format, RefusedLine, Row, read_rows, write_rows
from serve.catalog.schemas import CatalogRefused
from serve.catalog.service import Catalog

BATCH = 500
RECEIVING_AT_ONCE = 16

ReceiveStock = Callable[[str, int, str], Awaitable[None]]
"""Receives units of a SKU: (sku, quantity, key). The same key again must receive nothing."""


class Progress(msgspec.Struct, frozen=True):
    """How far an import has come, in rows, and what its last batch refused and holds in stock: (sku, quantity, key)."""

    rows: int
    created: int
    changed: int
    unchanged: int
    refused_in_all: int
    refused: list[RefusedLine]
    stock: list[tuple[str, int, str]]


async def import_products(
    catalog: Catalog, file: BinaryIO, form: Format, *, minor_digits: int = 2
) -> AsyncIterator[Progress]:
    """Creates or replaces the products of a file, `BATCH` rows a transaction, and tells after each how far it is.

    Every row is taken or refused by itself; of a SKU that comes twice the first row counts. The caller has
    `Progress.stock` received; its keys are made of the file's content, so the same file again brings no units again.
    Raises `FileRefused` when the file cannot be read any further; batches told before are kept. The file is read twice.
    """
    digest = await asyncio.to_thread(_digest, file)
    rows = read_rows(file, form, minor_digits)
    first_lines: dict[str, int] = {}
    done = Progress(0, 0, 0, 0, 0, [], [])
    while batch := await asyncio.to_thread(_next_batch, rows):
        done = await _take(catalog, batch, first_lines, digest, done)
        yield done


async def receive(stock: list[tuple[str, int, str]], receive_stock: ReceiveStock) -> None:
    """Has stock received, `RECEIVING_AT_ONCE` items at a time. Raises the first error once all that ran have ended."""
    remaining = iter(stock)

    async def receive_some() -> None:
        for sku, quantity, key in remaining:
            await receive_stock(sku, quantity, key)

    outcomes = await asyncio.gather(*(receive_some() for _ in range(RECEIVING_AT_ONCE)), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def export_products(catalog: Catalog, file: TextIO, form: Format, *, minor_digits: int = 2) -> int:
    """Writes every product, in the order of SKUs, as `import_products` reads it, and says how many.

    Without stock: that is not the catalogue's.
    """
    paths: dict[str, str] = {}
    for category in await catalog.all_categories():
        above = "" if category.parent is None else f"{paths[category.parent]}/"
        paths[category.path] = above + category.name
    count, sku = 0, ""
    while page := await catalog.products_after(sku, BATCH):
        named = [(product, paths[product.category]) for product in page]
        await asyncio.to_thread(write_rows, file, form, named, minor_digits, header=count == 0)
        count, sku = count + len(page), page[-1].sku
    if count == 0:
        write_rows(file, form, [], minor_digits)
    return count


def _digest(file: BinaryIO) -> str:
    digest = blake2b(digest_size=12)
    while piece := file.read(1 << 20):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _next_batch(rows: Iterator[Row | RefusedLine]) -> list[Row | RefusedLine]:
    return list(islice(rows, BATCH))


async def _take(
    catalog: Catalog, batch: list[Row | RefusedLine], first_lines: dict[str, int], digest: str, before: Progress
) -> Progress:
    refused = [row for row in batch if isinstance(row, RefusedLine)]
    good: list[Row] = []
    for row in batch:
        if isinstance(row, RefusedLine):
            continue
        if row.sku in first_lines:
            refused.append(RefusedLine(row.line, row.sku, f"sku: stands in line {first_lines[row.sku]} already"))
            continue
        first_lines[row.sku] = row.line
        good.append(row)
    stock: list[tuple[str, int, str]] = []
    created = changed = unchanged = 0
    outcomes = await catalog.put_products([(row.sku, row.draft) for row in good]) if good else []
    for row, outcome in zip(good, outcomes, strict=True):
        if isinstance(outcome, CatalogRefused):
            refused.append(RefusedLine(row.line, row.sku, outcome.detail))
            continue
        created += outcome.created
        changed += outcome.changed and not outcome.created
        unchanged += not outcome.changed
        if row.stock:
            stock.append((row.sku, row.stock, f"import/{digest}/{row.sku}"))
    return Progress(
        rows=before.rows + len(batch),
        created=before.created + created,
        changed=before.changed + changed,
        unchanged=before.unchanged + unchanged,
        refused_in_all=before.refused_in_all + len(refused),
        refused=sorted(refused, key=lambda line: line.line),
        stock=stock,
    )
