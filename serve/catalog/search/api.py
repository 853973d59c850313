"""The routes of search. Both are lean: somebody types, and each letter asks."""

import math
from urllib.parse import parse_qsl

from serve.catalog.search.analysis import key, value
from serve.catalog.search.base import Asked, BadCursor, ProductSearch, Range, SearchRebuilding, Wanted
from serve.catalog.search.examples import EXAMPLES
from serve.catalog.search.schemas import SearchPage, SearchQuery, Suggestions, SuggestionsQuery, page, suggestions
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem, declare, invalid

BAD_CURSOR = declare("bad_cursor", 400, "The cursor is not of this list")
SEARCH_REBUILDING = declare("search_rebuilding", 503, "The search index is being built")

ATTRIBUTE = "attr."
MOST_ATTRIBUTES = 20
MOST_VALUES = 50


def search_routes(search: ProductSearch, currency: str) -> Routes:
    """`currency`: the shop's."""
    routes = Routes(tag="catalog", examples=EXAMPLES)

    @routes.get(
        "/api/catalog/search",
        summary="Products by words and facets",
        description=(
            "Names count above categories, these above descriptions; the SKU itself comes first. Typos are forgiven "
            "where the words as they stand find little. `attr.NAME=a,b` keeps what has one of these values, "
            "`attr.NAME=10..20` what has a number in between (`10..` and `..20` too); names and values are those of "
            "the facets. Send `next` as `cursor`, with the same parameters, until it is null."
        ),
        query=SearchQuery,
        answers={200: SearchPage},
        problems=(BAD_CURSOR, SEARCH_REBUILDING),
    )
    async def find(request: Request) -> Response:
        asked = _asked(request.query, request.scope["query_string"])
        try:
            return json(page(await search.search(asked), currency))
        except BadCursor:
            raise Problem(BAD_CURSOR, "Take `next` of the page before, with the same `sort`.") from None
        except SearchRebuilding:
            raise _rebuilding() from None

    @routes.get(
        "/api/catalog/suggestions",
        summary="What somebody who is typing may want",
        description="Longer queries, categories and products; `target` is a category's path or a product's slug.",
        query=SuggestionsQuery,
        answers={200: Suggestions},
        problems=(SEARCH_REBUILDING,),
    )
    async def suggest(request: Request) -> Response:
        query: SuggestionsQuery = request.query
        try:
            return json(suggestions(await search.suggest(query.q, query.limit)))
        except SearchRebuilding:
            raise _rebuilding() from None

    return routes


def _rebuilding() -> Problem:
    return Problem(SEARCH_REBUILDING, "It takes seconds to minutes; please try again.", headers={"Retry-After": "2"})


def _asked(query: SearchQuery, query_string: bytes) -> Asked:
    if query.price_min is not None and query.price_max is not None and query.price_min > query.price_max:
        raise invalid("is more than price_max", "/query/price_min")
    return Asked(
        text=query.q,
        categories=query.category,
        price_min=query.price_min,
        price_max=query.price_max,
        available=query.available,
        attributes=attributes_of(query_string),
        sort=query.sort,
        cursor=query.cursor,
        limit=query.limit,
    )


def attributes_of(query_string: bytes) -> dict[str, Wanted]:
    """The filters attr.NAME of a query string. Raises Problem `invalid_request`."""
    given: dict[str, list[str]] = {}
    for name, text in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name.startswith(ATTRIBUTE):
            where = f"/query/{name[:80]}"
            known = key(name.removeprefix(ATTRIBUTE))
            if not known or len(name) > 100:
                raise invalid("is not the name of an attribute", where)
            parts = given.setdefault(known, [])
            parts += [part.strip() for part in text.split(",")]
            if len(parts) > MOST_VALUES:
                raise invalid(f"has more than {MOST_VALUES} values", where)
    if len(given) > MOST_ATTRIBUTES:
        raise invalid(f"are more than {MOST_ATTRIBUTES} attributes", "/query/attr")
    return {name: _wanted(name, parts) for name, parts in given.items()}


def _wanted(name: str, parts: list[str]) -> Wanted:
    values: list[str] = []
    ranges: list[Range] = []
    for part in parts:
        where = f"/query/{ATTRIBUTE}{name}"
        if not part:
            raise invalid("has an empty value", where)
        low, dots, high = part.partition("..")
        if dots:
            ends = Range(_number(low, where), _number(high, where))
            if ends == (None, None) or (ends.low is not None and ends.high is not None and ends.low > ends.high):
                raise invalid("is not a range such as 10..20", where)
            ranges.append(ends)
            continue
        values.append(value(part))
        try:
            number = float(part)
        except ValueError:
            continue
        if math.isfinite(number):
            ranges.append(Range(number, number))
    return Wanted(tuple(values), tuple(ranges))


def _number(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise invalid("is not a range such as 10..20", where)
    return number
