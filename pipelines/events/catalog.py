"""What happens to products: kind `product`, entity the product's id, version that of its row.

An event tells the whole product as it is from then on, so who keeps a copy needs only the newest.
"""

from typing import Literal, TypeAlias

import msgspec

from actors.decision import Message

KIND = "product"

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...]


class VariantFacts(msgspec.Struct, frozen=True):
    """`price` in minor units of the shop's currency; `price_version` grows when price, name, tax class or status do."""

    sku: str
    options: dict[str, str]
    price: int
    tax_class: str
    status: Literal["active", "gone"]
    price_version: int


class ProductFacts(msgspec.Struct, frozen=True):
    """`categories`: the path from the root of the tree, as (slug, name); slugs joined by "/" make a category's path.

    `image`: the drawing's name. `status`: gone also when all variants are. `created_at`: UTC in milliseconds.
    """

    id: str
    slug: str
    name: str
    description: str
    categories: tuple[tuple[str, str], ...]
    attributes: dict[str, Attribute]
    status: Literal["active", "gone"]
    created_at: int
    image: str | None
    variants: tuple[VariantFacts, ...]


class ProductChanged(Message, tag="ProductChanged/1", frozen=True):
    """Made or changed in anything that shoppers see."""

    product: ProductFacts
    at: int


class ProductRemoved(Message, tag="ProductRemoved/1", frozen=True):
    """It is not there any more; orders keep what they say about it."""

    at: int


Event: TypeAlias = ProductChanged | ProductRemoved
