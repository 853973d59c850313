"""Products into files, as `importing.py` reads them: CSV and JSON Lines, one row a variant."""

import asyncio
import csv
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, TextIO

from serve.catalog.records import Product
from serve.catalog.rows import Format
from serve.catalog.service import Catalog

BATCH = 500
_OBJECTS = ("options", "specifications", "attributes")
_COLUMNS = (
    "product",
    "sku",
    "slug",
    "name",
    "category",
    "options",
    "price",
    "tax_class",
    "status",
    "variant_status",
    "image",
    "variant_image",
    "description",
    "specifications",
    "attributes",
    "related",
)


async def export_products(catalog: Catalog, file: TextIO, form: Format, *, minor_digits: int = 2) -> int:
    """Writes every product, in the order of keys, as `import_products` reads it, and says how many.

    Without stock: that is not the catalogue's.
    """
    paths: dict[str, str] = {}
    for category in await catalog.all_categories():
        above = "" if category.parent is None else f"{paths[category.parent]}/"
        paths[category.path] = above + category.name
    count, key = 0, ""
    while page := await catalog.products_after(key, BATCH):
        named = [(product, paths[product.category]) for product in page]
        await asyncio.to_thread(write_rows, file, form, named, minor_digits, header=count == 0)
        count, key = count + len(page), page[-1].key
    if count == 0:
        write_rows(file, form, [], minor_digits)
    return count


def write_rows(
    file: TextIO, form: Format, products: Iterable[tuple[Product, str]], minor_digits: int = 2, *, header: bool = True
) -> None:
    """Writes (product, its category as a path of names) so that reading it changes nothing; `header` is CSV's."""
    writer = csv.writer(file, lineterminator="\n")
    if form == "csv" and header:
        writer.writerow(_COLUMNS)
    for product, category in products:
        for fields in _rows(product, category, minor_digits):
            if form == "csv":
                writer.writerow([_cell(name, fields.get(name)) for name in _COLUMNS])
            else:
                file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _rows(product: Product, category: str, minor_digits: int) -> Iterator[dict[str, Any]]:
    """What is the product's stands in its first row only."""
    about: dict[str, Any] = {
        "slug": product.slug,
        "name": product.name,
        "category": category,
        "tax_class": product.tax_class,
        "status": product.status,
        "image": product.image,
        "description": product.description,
        "specifications": product.specifications,
        "attributes": product.attributes,
        "related": product.related,
    }
    for variant in product.variants:
        sold = {
            "product": product.key,
            "sku": variant.sku,
            "options": variant.options,
            "price": f"{Decimal(variant.price).scaleb(-minor_digits):f}",
            "variant_status": variant.status,
            "variant_image": variant.image,
        }
        fields = sold | about
        yield {name: fields[name] for name in _COLUMNS if fields.get(name) not in (None, "", {}, [])}
        about = {}


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return ""
    if name == "related":
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False) if name in _OBJECTS else value
