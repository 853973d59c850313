"""What search takes in and gives out over HTTP. Prices are integers of the currency's minor unit."""

from typing import Annotated

from msgspec import Meta, Struct

from serve.catalog.schemas import image_path
from serve.catalog.search.base import LONGEST_QUERY, Facets, Found, Highlights, Hit, Matched, Sort, Suggestion

HIGHEST_PRICE = 1_000_000_000

Typed = Annotated[str, Meta(max_length=LONGEST_QUERY, description="What a shopper typed, in words")]
Path = Annotated[str, Meta(min_length=1, max_length=200)]
Price = Annotated[int, Meta(ge=0, le=HIGHEST_PRICE, description="Minor units, compared with the lowest price")]


class SearchQuery(Struct, frozen=True):
    """What is looked for. Besides these, `attr.NAME=VALUE` for each attribute."""

    q: Typed = ""
    category: Annotated[
        tuple[Path, ...], Meta(max_length=20, description="Paths, `kitchen/mugs`; repeated: any of them")
    ] = ()
    price_min: Price | None = None
    price_max: Price | None = None
    available: Annotated[bool, Meta(description="Only what is in stock, or only what is not")] | None = None
    sort: Sort = "relevance"
    cursor: Annotated[str, Meta(max_length=200, description="`next` of the page before")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 24


class SuggestionsQuery(Struct, frozen=True):
    """What somebody is typing."""

    q: Typed = ""
    limit: Annotated[int, Meta(ge=1, le=20)] = 8


class SearchHit(Struct, frozen=True, kw_only=True):
    """A product. `price`: its cheapest variant's; `highlights`: HTML, with nothing but <mark> in it."""

    sku: str
    slug: str
    name: str
    category: str
    price: int
    price_max: int
    currency: str
    image: str | None
    available: bool
    highlights: Highlights


class SearchPage(Struct, frozen=True, kw_only=True):
    """`matched`: `all_words` were found; or `typos` were forgiven; or nothing has more than `some_words` of them.

    `facets` come with the first page, null on later ones.
    """

    items: list[SearchHit]
    total: int
    matched: Matched
    facets: Facets | None
    next: str | None


class Suggestions(Struct, frozen=True):
    """What somebody who has typed this may want."""

    items: list[Suggestion]


def page(found: Found, currency: str) -> SearchPage:
    return SearchPage(
        items=[_hit(hit, currency) for hit in found.hits],
        total=found.total,
        matched=found.matched,
        facets=found.facets,
        next=found.next,
    )


def _hit(hit: Hit, currency: str) -> SearchHit:
    return SearchHit(
        sku=hit.sku,
        slug=hit.slug,
        name=hit.name,
        category=hit.category,
        price=hit.price,
        price_max=hit.price_max,
        currency=currency,
        image=image_path(hit.image),
        available=hit.available,
        highlights=hit.highlights,
    )


def suggestions(found: list[Suggestion]) -> Suggestions:
    return Suggestions(
        [Suggestion(kind=one.kind, text=one.text, target=one.target, image=image_path(one.image)) for one in found]
    )
