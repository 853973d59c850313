"""The catalogue that invoices imply, and the goods that must have come in for them to be sold."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from serve.catalog.schemas import CatalogRefused, ProductDraft
from serve.catalog.service import Catalog
from serve.replay.invoices import Invoice

CATEGORY = "Online Retail"
BATCH = 500
T = TypeVar("T")
_NOT_IN_A_SKU = re.compile(r"[^A-Za-z0-9._-]+")


class CannotImport(Exception):
    """The catalogue does not take a product; the text says which and why."""


def skus_of(codes: Iterable[str]) -> dict[str, str]:
    """A SKU for each stock code: the code itself, or the nearest one that is allowed and not another's."""
    ordered = sorted(set(codes), key=lambda code: (_plain(code) != code, code))
    skus: dict[str, str] = {}
    taken: set[str] = set()
    for code in ordered:
        plain, number = _plain(code), 1
        while (sku := plain if number == 1 else f"{plain}-{number}") in taken:
            number += 1
        taken.add(sku)
        skus[code] = sku
    return skus


def _plain(code: str) -> str:
    plain = _NOT_IN_A_SKU.sub("-", code).lstrip("._-")[:56]
    return plain or "code"


def products_of(sales: Sequence[Invoice]) -> dict[str, ProductDraft]:
    """A product for each stock code, under the description and at the price that it was sold under most often."""
    names: dict[str, Counter[str]] = {}
    prices: dict[str, Counter[int]] = {}
    for invoice in sales:
        for line in invoice.lines:
            names.setdefault(line.code, Counter())[line.description] += 1
            prices.setdefault(line.code, Counter())[line.price] += 1
    return {
        code: ProductDraft(name=_usual(names[code])[:200], category=CATEGORY, price=_usual(prices[code]))
        for code in names
    }


def _usual(counted: Counter[T]) -> T:
    return counted.most_common(1)[0][0]


def units_of(sales: Sequence[Invoice]) -> Counter[str]:
    """How many units of each stock code were sold in all."""
    units: Counter[str] = Counter()
    for invoice in sales:
        for line in invoice.lines:
            units[line.code] += line.quantity
    return units


async def import_catalogue(catalog: Catalog, products: dict[str, ProductDraft], skus: dict[str, str]) -> int:
    """Creates the products, and says how many were new. Those that are there already are made like the invoices'.

    Raises CannotImport.
    """
    drafts = [(skus[code], draft) for code, draft in products.items()]
    created = 0
    for start in range(0, len(drafts), BATCH):
        for outcome in await catalog.put_products(drafts[start : start + BATCH]):
            if isinstance(outcome, CatalogRefused):
                raise CannotImport(f"{outcome.detail} {outcome.about}")
            created += outcome.created
    return created
