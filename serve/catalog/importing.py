"""Many products at once, from a file into the catalogue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import blake2b
from typing import BinaryIO

import msgspec

from serve.catalog.grouping import Group, read_groups
from serve.catalog.rows import Format, RefusedLine, read_rows
from serve.catalog.schemas import CatalogRefused
from serve.catalog.service import Catalog

BATCH = 500
RECEIVING_AT_ONCE = 16

ReceiveStock = Callable[[str, int, str], Awaitable[None]]
"""Receives units of a SKU: (sku, quantity, key). The same key again must receive nothing."""


class Planned(msgspec.Struct, frozen=True):
    """What came, or would come, of a product: `changes` are the names of what is different. `line`: its first."""

    line: int
    product: str
    created: bool
    changes: tuple[str, ...]


class Progress(msgspec.Struct, frozen=True):
    """How far an import has come: rows of the file, products, refused rows.

    And of its last batch: what was refused, what changed, and the units it holds: (sku, quantity, key).
    """

    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused_in_all: int = 0
    refused: list[RefusedLine] = []
    planned: list[Planned] = []
    stock: list[tuple[str, int, str]] = []


async def import_products(
    catalog: Catalog, file: BinaryIO, form: Format, *, minor_digits: int = 2, keep: bool = True
) -> AsyncIterator[Progress]:
    """Creates or replaces the products of a file, about `BATCH` rows a transaction, and tells after each how far it is.

    Every product is taken or refused by itself; of a SKU that comes twice the first row counts. The caller has
    `Progress.stock` received; its keys are made of the file's content, so the same file again brings no units again.
    Without `keep` nothing is written: it tells what would come of each batch, on the catalogue as it is.
    Raises `FileRefused` when the file cannot be read any further; batches told before are kept. The file is read twice.
    """
    digest = await asyncio.to_thread(_digest, file)
    groups = read_groups(read_rows(file, form, minor_digits))
    done = Progress()
    while batch := await asyncio.to_thread(_next_batch, groups):
        done = await _take(catalog, batch, digest, done, keep)
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


def _digest(file: BinaryIO) -> str:
    digest = blake2b(digest_size=12)
    while piece := file.read(1 << 20):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _next_batch(groups: Iterator[Group]) -> list[Group]:
    batch: list[Group] = []
    size = 0
    for group in groups:
        batch.append(group)
        size += group.size
        if size >= BATCH:
            break
    return batch


async def _take(catalog: Catalog, batch: list[Group], digest: str, before: Progress, keep: bool) -> Progress:
    refused = [line for group in batch for line in group.refused]
    good = [(group, group.draft) for group in batch if group.draft is not None]
    planned: list[Planned] = []
    stock: list[tuple[str, int, str]] = []
    unchanged = 0
    outcomes = await catalog.put_products([(group.key, draft) for group, draft in good], keep=keep) if good else []
    for (group, _), outcome in zip(good, outcomes, strict=True):
        if isinstance(outcome, CatalogRefused):
            refused += group.refuse(outcome.detail)
            continue
        if outcome.changed:
            planned.append(Planned(group.rows[0].line, group.key, outcome.created, outcome.changes))
        unchanged += not outcome.changed
        stock += [(row.sku, row.stock, f"import/{digest}/{row.sku}") for row in group.rows if row.stock]
    created = sum(one.created for one in planned)
    return Progress(
        rows=before.rows + sum(group.size for group in batch),
        created=before.created + created,
        changed=before.changed + len(planned) - created,
        unchanged=before.unchanged + unchanged,
        refused_in_all=before.refused_in_all + len(refused),
        refused=sorted(refused, key=lambda line: line.line),
        planned=planned,
        stock=stock,
    )
