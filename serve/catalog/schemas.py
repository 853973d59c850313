"""What goes into the catalogue and what comes out of it.

Prices are integers of the currency's minor unit; times are UTC milliseconds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

END = r"$(?!\n)"  # the very end, in Python as in JSON Schema: "$" alone lets a last line break pass in Python

Sku = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}" + END)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*" + END, max_length=120)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
CategoryPath = Annotated[str, Meta(min_length=1, max_length=300)]
Amount = Annotated[int, Meta(ge=0, le=1_000_000_000)]
TaxClass = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}" + END)]
SpecificationName = Annotated[str, Meta(min_length=1, max_length=80)]
SpecificationValue = Annotated[str, Meta(max_length=500)]
Specifications = Annotated[dict[SpecificationName, SpecificationValue], Meta(max_length=60)]
Status = Literal["active", "gone"]
Sort = Literal["name", "price", "-price", "newest"]


class ProductDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as staff or an import describe it. `category` is a path of names or slugs, ``Kitchen/Mugs``."""

    name: Name
    category: CategoryPath
    price: Amount
    slug: Slug | None = None
    description: Text = ""
    tax_class: TaxClass = "standard"
    status: Status = "active"
    specifications: Specifications = {}
    image: Slug | None = None


class ProductChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a product; what is not named stays. `version`: refuse if it is not this one any more."""

    name: Name | UnsetType = UNSET
    category: CategoryPath | UnsetType = UNSET
    price: Amount | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    tax_class: TaxClass | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    specifications: Specifications | UnsetType = UNSET
    image: Slug | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


class Product(Struct, frozen=True, kw_only=True):
    """A product as it stands in the database. `changed` grows with every change of any product."""

    sku: str
    slug: str
    name: str
    description: str
    category: str
    price: int
    tax_class: str
    status: Status
    specifications: dict[str, str]
    image: str | None
    version: int
    created_at: int
    changed: int
    available: int | None = None


class Category(Struct, frozen=True):
    """One place in the tree: `path` is made of slugs, ``kitchen/mugs``; `parent` is a path."""

    path: str
    name: str
    parent: str | None
    position: int


class CategoryName(Struct, frozen=True):
    """A step on the way from the root to a category."""

    path: str
    name: str


class CategoryNode(Struct, frozen=True):
    """A category with the active products in it and below it counted."""

    path: str
    name: str
    count: int
    children: list["CategoryNode"]


class CategoryTree(Struct, frozen=True):
    """All categories, by position."""

    items: list[CategoryNode]


class ProductSummary(Struct, frozen=True, kw_only=True):
    """A product in a list. `available`: units left to order, null while that is not known."""

    sku: str
    slug: str
    name: str
    category: str
    price: int
    currency: str
    image: str | None
    available: int | None


class ProductPage(Struct, frozen=True):
    """A page of products; `next` is the cursor of the page after it, null on the last."""

    items: list[ProductSummary]
    next: str | None


class ProductBody(Struct, frozen=True, kw_only=True):
    """Everything that a product's page shows. `trail` leads from the root to its category."""

    sku: str
    slug: str
    name: str
    description: str
    category: str
    trail: list[CategoryName]
    price: int
    currency: str
    tax_class: str
    status: Status
    specifications: dict[str, str]
    image: str | None
    available: int | None
    version: int
    created_at: int


class ProductsQuery(Struct, frozen=True):
    """Which page of which products."""

    category: Annotated[str, Meta(max_length=200, description="A category's path: `kitchen/mugs`")] | None = None
    sort: Sort = "name"
    cursor: Annotated[str, Meta(max_length=2_000, description="`next` of the page before")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 24


class CatalogRefused(Exception):
    """The catalogue does not do this. `code` is stable, `detail` is for people, `about` says what it is about."""

    def __init__(self, code: str, detail: str, **about: Any) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.about = about

    def again(self) -> "CatalogRefused":
        """The same refusal as a new exception, to be raised once more."""
        return CatalogRefused(self.code, self.detail, **self.about)


def image_path(name: str | None) -> str | None:
    """Where the shop serves the image of this name."""
    return None if name is None else f"/api/catalog/images/{name}.svg"


def summary(product: Product, currency: str) -> ProductSummary:
    """A product as a line of a list."""
    return ProductSummary(
        sku=product.sku,
        slug=product.slug,
        name=product.name,
        category=product.category,
        price=product.price,
        currency=currency,
        image=image_path(product.image),
        available=product.available,
    )


def body(product: Product, trail: list[CategoryName], currency: str) -> ProductBody:
    """A product with all of its details."""
    return ProductBody(
        sku=product.sku,
        slug=product.slug,
        name=product.name,
        description=product.description,
        category=product.category,
        trail=trail,
        price=product.price,
        currency=currency,
        tax_class=product.tax_class,
        status=product.status,
        specifications=product.specifications,
        image=image_path(product.image),
        available=product.available,
        version=product.version,
        created_at=product.created_at,
    )


def checked_sku(sku: str) -> str:
    """The SKU itself. Raises `CatalogRefused` ``bad_sku`` if it cannot be one."""
    try:
        return msgspec.convert(sku, Sku)
    except msgspec.ValidationError:
        raise CatalogRefused("bad_sku", "A SKU is 1 to 64 letters, digits, '.', '_' or '-'.", sku=sku[:80]) from None
