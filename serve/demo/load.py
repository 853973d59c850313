"""Puts the demo shop into an empty catalogue: its products, their pictures, and the units it begins with."""

import asyncio
import tomllib
from decimal import Decimal
from pathlib import Path

import msgspec

from serve.catalog.importing import ReceiveStock, receive
from serve.catalog.schemas import CatalogRefused, ProductDraft
from serve.catalog.service import Catalog
from serve.catalog.slugs import slugify
from serve.demo.drawing import draw

DATA_SET = "demo/1"
FILES = ("kitchen", "home", "garden", "stationery", "play", "bath")
_FOLDER = Path(__file__).parent / "products"


class DemoProduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product as its file describes it. `price` in major units; `image` is a motif and a tone, ``mug moss``."""

    sku: str
    name: str
    category: str
    price: str
    stock: int
    image: str
    description: str
    specifications: dict[str, str]

    @property
    def image_name(self) -> str:
        """The name that its picture is kept under."""
        return slugify(self.sku)

    def draft(self) -> ProductDraft:
        """The product for the catalogue, its price in hundredths."""
        return ProductDraft(
            name=self.name,
            category=self.category,
            price=int(Decimal(self.price) * 100),
            description=self.description.strip(),
            specifications=self.specifications,
            image=self.image_name,
        )

    def picture(self) -> str:
        """Its picture as SVG."""
        motif, tone = self.image.split()
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
    _, there = await catalog_service.of_skus([product.sku for product in products])
    known = {product.sku for product in there}
    missing = [product for product in products if product.sku not in known]
    await catalog_service.put_images(pictures)
    for outcome in await catalog_service.put_products([(product.sku, product.draft()) for product in missing]):
        if isinstance(outcome, CatalogRefused):
            raise outcome
    await receive([(product.sku, product.stock, f"{DATA_SET}/{product.sku}") for product in products], receive_stock)
    await catalog_service.note_loaded(DATA_SET)
    return len(missing)


def _prepared() -> tuple[list[DemoProduct], list[tuple[str, str]]]:
    products = demo_products()
    return products, [(product.image_name, product.picture()) for product in products]
