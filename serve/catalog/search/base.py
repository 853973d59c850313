"""The port of product search: what is asked, what is found, and what goes wrong.

Writing is the other half of the port: `pipelines.index_products.ProductIndexes`.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

Sort: TypeAlias = Literal["relevance", "price", "-price", "newest", "name"]
Matched: TypeAlias = Literal["all_words", "typos", "some_words"]

LONGEST_QUERY = 200
DEEPEST = 5_000


class SearchRebuilding(Exception):
    """There is no index that can answer; one is being built."""


class BadCursor(Exception):
    """The cursor is not of this list."""


class Range(NamedTuple):
    """Both ends belong to it; None: open."""

    low: float | None
    high: float | None


class Wanted(NamedTuple):
    """What an attribute may be: one of `values` (as facets give them), or a number within one of `ranges`."""

    values: tuple[str, ...]
    ranges: tuple[Range, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in minor units, compared with the product's lowest; `attributes` by the keys that facets have."""

    text: str = ""
    categories: tuple[str, ...] = ()
    price_min: int | None = None
    price_max: int | None = None
    available: bool | None = None
    attributes: Mapping[str, Wanted] = {}
    sort: Sort = "relevance"
    cursor: str | None = None
    limit: int = 24


class Highlights(msgspec.Struct, frozen=True):
    """HTML: the text escaped, what was looked for in <mark>. `description`: the piece of it that says most."""

    name: str
    description: str


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A product that was found. `price` is that of its cheapest variant, `sku` the variant looked for, or its first."""

    id: str
    sku: str
    slug: str
    name: str
    category: str
    price: int
    price_max: int
    image: str | None
    available: bool
    highlights: Highlights


class CategoryCount(msgspec.Struct, frozen=True):
    """How many of what was found lie in a category and below it."""

    path: str
    name: str
    count: int
    selected: bool
    children: list["CategoryCount"]


class PriceCount(msgspec.Struct, frozen=True):
    """Prices from `low` up to, and without, `high`."""

    low: int
    high: int
    count: int


class AvailabilityCount(msgspec.Struct, frozen=True):
    available: int
    unavailable: int


class ValueCount(msgspec.Struct, frozen=True):
    """`value` is what the filter takes, `label` what people read."""

    value: str
    label: str
    count: int
    selected: bool


class AttributeFacet(msgspec.Struct, frozen=True, kw_only=True):
    """`type` text and flag have `values`; number has `low` and `high`. `name`: the filter is attr.NAME."""

    name: str
    label: str
    type: Literal["text", "flag", "number"]
    count: int
    values: list[ValueCount] = []
    low: float | None = None
    high: float | None = None


class Facets(msgspec.Struct, frozen=True):
    """Each counted as if nothing of its own were selected."""

    categories: list[CategoryCount]
    prices: list[PriceCount]
    availability: AvailabilityCount
    attributes: list[AttributeFacet]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`facets`: with the first page only. `matched` tells how far the words had to be bent."""

    hits: list[Hit]
    total: int
    matched: Matched
    facets: Facets | None
    next: str | None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """`words` is a longer query, `product` and `category` lead somewhere: `target` is a slug or a path."""

    kind: Literal["words", "category", "product"]
    text: str
    target: str | None = None
    image: str | None = None


class ProductSearch(Protocol):
    """Raises SearchRebuilding, Overloaded when too many ask at once, TimeoutError when it takes too long."""

    async def search(self, asked: Asked) -> Found:
        """Raises BadCursor too."""
        ...

    async def suggest(self, text: str, limit: int) -> list[Suggestion]:
        """What somebody who has typed this may want; at most `limit`."""
        ...

    async def close(self) -> None: ...
