"""Puts the demo shop into an empty catalogue: its products, their pictures, and the units it begins with."""

import asyncio
import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from serve.catalog.importing import ReceiveStock, receive
from serve.catalog.schemas import AttributeValue, CatalogRefused, ProductDraft, VariantDraft
from serve.catalog.service import Catalog
from serve.catalog.slugs import slugify
from serve.demo.drawing import draw

DATA_SET = "demo/1"
FILES = ("kitchen", "home", "garden", "stationery", "play", "bath")
RELATED = 4
_SHARE = re.compile(r"\d+ % ")
_BETWEEN = re.compile(r", | and ")
_FOLDER = Path(__file__).parent / "products"


class DemoVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another variant than the one with the product's own SKU; it costs the same."""

    sku: str
    options: dict[str, str]
    stock: int
    image: str | None = None


class DemoProduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product as its file describes it. `price` in major units; `image` is a motif and a tone, ``mug moss``.

    `options` are those of the variant with the product's own SKU, if there are others.
    """

    sku: str
    name: str
    category: str
    price: str
    stock: int
    image: str
    description: str
    specifications: dict[str, str]
    options: dict[str, str] = {}
    variants: list[DemoVariant] = []

    @property
    def image_name(self) -> str:
        """The name that its picture is kept under."""
        return slugify(self.sku)

    @property
    def price_minor(self) -> int:
        """In hundredths."""
        return int(Decimal(self.price) * 100)

    def draft(self, related: Sequence[str] = ()) -> ProductDraft:
        """The product for the catalogue."""
        price = self.price_minor
        own = VariantDraft(sku=self.sku, options=self.options, price=price)
        others = [
            VariantDraft(sku=one.sku, options=one.options, price=price, image=one.image and slugify(one.sku))
            for one in self.variants
        ]
        return ProductDraft(
            name=self.name,
            category=self.category,
            variants=[own, *others],
            description=self.description.strip(),
            attributes=self.attributes(),
            specifications=self.specifications,
            related=list(related),
            image=self.image_name,
        )

    def attributes(self) -> dict[str, AttributeValue]:
        """What it can be found by: its colours, and what it is made of."""
        colours = [image.split()[1] for image in (self.image, *(one.image for one in self.variants)) if image]
        made_of = _SHARE.sub("", self.specifications.get("Material", "").lower())
        materials = [part.strip() for part in _BETWEEN.split(made_of) if part.strip()]
        return {"colour": colours} | ({"material": materials} if materials else {})

    def units(self) -> dict[str, int]:
        """What the shop begins with, by SKU."""
        return {self.sku: self.stock} | {one.sku: one.stock for one in self.variants}

    def picture(self) -> str:
        """Its picture as SVG."""
        return self._drawn(self.image)

    def pictures(self) -> list[tuple[str, str]]:
        """(name, SVG) of it and of its variants: the same thing in other tones."""
        others = [(slugify(one.sku), self._drawn(one.image)) for one in self.variants if one.image]
        return [(self.image_name, self.picture()), *others]

    def _drawn(self, image: str) -> str:
        motif, tone = image.split()
        return draw(self.sku, self.name, motif, tone)


class _File(msgspec.Struct):
    product: list[DemoProduct]


def demo_products() -> list[DemoProduct]:
    """All products of the demo shop, in the order in which the shop shows its categories."""
    products: list[DemoProduct] = []
    for name in FILES:
        raw = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        products += msgspec.convert(raw, _File).product
    return products


async def load_demo(catalog_service: Catalog, receive_stock: ReceiveStock) -> int:
    """Loads what of the demo shop is not there yet, and says how many products that were; the second time none.

    `receive_stock(sku, quantity, key)` receives units; the keys are always the same, so a load that was broken off is
    simply run again. Products that exist are left as staff have made them.
    """
    if await catalog_service.loaded(DATA_SET):
        return 0
    products, pictures = await asyncio.to_thread(_prepared)
    known = await catalog_service.prices_of([product.sku for product in products])
    missing = [product for product in products if product.sku not in known]
    await catalog_service.put_images(pictures)
    drafts = [(product.sku, product.draft(_beside(product, products))) for product in missing]
    for outcome in await catalog_service.put_products(drafts):
        if isinstance(outcome, CatalogRefused):
            raise outcome
    units = [(sku, count, f"{DATA_SET}/{sku}") for product in products for sku, count in product.units().items()]
    await receive(units, receive_stock)
    await catalog_service.note_loaded(DATA_SET)
    return len(missing)


def _prepared() -> tuple[list[DemoProduct], list[tuple[str, str]]]:
    products = demo_products()
    return products, [picture for product in products for picture in product.pictures()]


def _beside(product: DemoProduct, products: list[DemoProduct]) -> list[str]:
    """Its neighbours on the shelf, going round."""
    shelf = [one.sku for one in products if one.category == product.category]
    at = shelf.index(product.sku)
    return (shelf[at + 1 :] + shelf[:at])[:RELATED]
