"""Products, variants and categories as they stand in the database."""

from msgspec import Struct

from serve.catalog.schemas import AttributeValue, Status


class Variant(Struct, frozen=True, kw_only=True):
    """What is sold under one SKU. `price_version` grows when what carts know of the SKU changes."""

    sku: str
    options: dict[str, str]
    price: int
    status: Status
    image: str | None
    price_version: int = 0
    available: int | None = None


class Product(Struct, frozen=True, kw_only=True):
    """A product as staff made it. `key` is its name among staff, `id` in events; `variants` are in their order."""

    key: str
    id: str
    slug: str
    name: str
    description: str
    category: str
    tax_class: str
    status: Status
    specifications: dict[str, str]
    attributes: dict[str, AttributeValue]
    related: list[str]
    image: str | None
    version: int
    created_at: int
    variants: tuple[Variant, ...]

    @property
    def shown(self) -> tuple[Variant, ...]:
        """The variants that are for sale; all, when none is, so that what is gone still says what it was."""
        return tuple(variant for variant in self.variants if variant.status == "active") or self.variants

    @property
    def for_sale(self) -> bool:
        return self.status == "active" and any(variant.status == "active" for variant in self.variants)

    def status_of(self, variant: Variant) -> Status:
        """What carts go by: a variant is gone when its product is."""
        return variant.status if self.status == "active" else "gone"


class Listed(Struct, frozen=True, kw_only=True):
    """A product in a list: `price` and `price_max` of the variants for sale, `available` units of all of them."""

    key: str
    slug: str
    name: str
    category: str
    sku: str
    price: int
    price_max: int
    variants: int
    image: str | None
    created_at: int
    available: int | None


class Category(Struct, frozen=True):
    """One place in the tree: `path` is made of slugs, ``kitchen/mugs``; `parent` is a path."""

    path: str
    name: str
    parent: str | None
    position: int
