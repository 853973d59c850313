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
AttributeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}" + END)]
AttributeText = Annotated[str, Meta(min_length=1, max_length=200)]
Number = Annotated[int, Meta(ge=-(2**53), le=2**53)] | float
Attributes = Annotated[
    dict[AttributeName, AttributeText | Number | bool | Annotated[list[AttributeText], Meta(max_length=50)]],
    Meta(max_length=60),
]
AttributeValue = str | int | float | bool | list[str]
OptionName = Annotated[str, Meta(min_length=1, max_length=40)]
OptionValue = Annotated[str, Meta(min_length=1, max_length=80)]
Options = Annotated[dict[OptionName, OptionValue], Meta(max_length=6)]
Related = Annotated[list[Sku], Meta(max_length=24)]
Status = Literal["active", "gone"]
Sort = Literal["name", "price", "-price", "newest"]


class VariantContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant without its SKU: ``{"size": "M"}`` at a price. Without an image of its own it shows the product's."""

    price: Amount
    options: Options = {}
    status: Status = "active"
    image: Slug | None = None


class VariantDraft(VariantContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the things to choose between."""

    sku: Sku


Variants = Annotated[list[VariantDraft], Meta(min_length=1, max_length=200)]


class ProductDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as staff or an import describe it. `category` is a path of names or slugs, ``Kitchen/Mugs``.

    With `price` it is one thing, whose SKU is the product's own; with `variants` it is these, and no others any more.
    `attributes` are what products are found by; `specifications` are to be read; `related` are keys or SKUs.
    """

    name: Name
    category: CategoryPath
    price: Amount | UnsetType = UNSET
    variants: Variants | UnsetType = UNSET
    slug: Slug | None = None
    description: Text = ""
    tax_class: TaxClass = "standard"
    status: Status = "active"
    specifications: Specifications = {}
    attributes: Attributes = {}
    related: Related = []
    image: Slug | None = None


class ProductChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a product; what is not named stays. `version`: refuse if it is not this one any more.

    `price` is that of its only variant, or of the one with the product's own SKU.
    """

    name: Name | UnsetType = UNSET
    category: CategoryPath | UnsetType = UNSET
    price: Amount | UnsetType = UNSET
    variants: Variants | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    tax_class: TaxClass | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    specifications: Specifications | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET
    related: Related | UnsetType = UNSET
    image: Slug | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


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
    """A product in a list. `sku` is its first variant for sale, `variants` how many it has.

    Prices go from `price` to `price_max`. `available`: units left of all of them, null while that is not known.
    """

    sku: str
    slug: str
    name: str
    category: str
    price: int
    price_max: int
    currency: str
    image: str | None
    available: int | None
    variants: int


class ProductPage(Struct, frozen=True):
    """A page of products; `next` is the cursor of the page after it, null on the last."""

    items: list[ProductSummary]
    next: str | None


class OptionBody(Struct, frozen=True):
    """Something to choose, ``size``, and what there is of it, in the order of the variants."""

    name: str
    values: list[str]


class VariantBody(Struct, frozen=True, kw_only=True):
    """What is sold under one SKU. `available`: units left to order, null while that is not known."""

    sku: str
    options: dict[str, str]
    price: int
    status: Status
    image: str | None
    available: int | None


class ProductBody(Struct, frozen=True, kw_only=True):
    """Everything that a product's page shows. `trail` leads from the root to its category.

    `key` is the product's name among staff, `sku` its first variant for sale. Prices go from `price` to `price_max`;
    `available` counts all variants. `status` is gone, too, when all variants are.
    """

    key: str
    sku: str
    slug: str
    name: str
    description: str
    category: str
    trail: list[CategoryName]
    price: int
    price_max: int
    currency: str
    tax_class: str
    status: Status
    specifications: dict[str, str]
    attributes: dict[str, AttributeValue]
    options: list[OptionBody]
    variants: list[VariantBody]
    related: list[ProductSummary]
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


def checked_sku(sku: str) -> str:
    """The SKU itself. Raises `CatalogRefused` ``bad_sku`` if it cannot be one."""
    try:
        return msgspec.convert(sku, Sku)
    except msgspec.ValidationError:
        raise CatalogRefused("bad_sku", "A SKU is 1 to 64 letters, digits, '.', '_' or '-'.", sku=sku[:80]) from None
