"""Filters, and how many products each further filter would leave.

The counts of a facet ignore what is selected of it: who has chosen red still sees how many are blue.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tantivy import FieldType, Occur, Query, Schema, Searcher

from serve.catalog.search.analysis import sound
from serve.catalog.search.base import Asked, Facets, Wanted
from serve.catalog.search.documents import PART, attribute_term, category_term
from serve.catalog.search.facet_counts import MOST_TERMS, PRICE_STEPS, Buckets, facets_of

MOST_NUMBERS = 20_000


def filters(asked: Asked, schema: Schema, searcher: Searcher) -> dict[str, Query]:
    """One query for each facet of which something is selected."""
    found: dict[str, Query] = {}
    if asked.categories:
        terms = [category_term(sound(path)) for path in asked.categories]
        found["category"] = Query.term_set_query(schema, "facet", terms)
    if asked.price_min is not None or asked.price_max is not None:
        found["price"] = Query.range_query(schema, "price", FieldType.Integer, asked.price_min, asked.price_max)
    if asked.available is not None:
        found["available"] = Query.term_query(schema, "available", asked.available)
    for name, wanted in asked.attributes.items():
        found[_facet(name)] = _attribute(name, wanted, schema, searcher)
    return found


def _facet(name: str) -> str:
    return f"attr.{name}"


def _attribute(name: str, wanted: Wanted, schema: Schema, searcher: Searcher) -> Query:
    terms = [attribute_term(name, "s", one) for one in wanted.values]
    if wanted.ranges:
        # The engine has no ranges over values of any name; there are few enough different ones to look at.
        start = attribute_term(name, "n", "")
        for term, _ in searcher.terms_with_prefix("facet", start, limit=MOST_NUMBERS):
            number = float(term.removeprefix(start))
            if any((r.low is None or r.low <= number) and (r.high is None or number <= r.high) for r in wanted.ranges):
                terms.append(term)
    return Query.term_set_query(schema, "facet", terms) if terms else Query.empty_query()


def narrowed(text: Query, chosen: Mapping[str, Query], besides: str | None = None) -> Query:
    """`text` within all that is chosen, except of the facet `besides`."""
    kept = [query for name, query in chosen.items() if name != besides]
    if not kept:
        return text
    # Filters decide what is found and say nothing about how well it fits.
    within = [(Occur.Must, Query.const_score_query(query, 0.0)) for query in kept]
    return Query.boolean_query([(Occur.Must, text), *within])


def counted(searcher: Searcher, text: Query, chosen: Mapping[str, Query], asked: Asked) -> Facets:
    """All facets of what `text` finds within `chosen`."""
    result = searcher.aggregate(narrowed(text, chosen), {"shown": _shown(), "price": _prices(), "available": _flags()})
    shown: Buckets = result["shown"]["buckets"]
    prices: Buckets = result["price"]["buckets"]
    flags: Buckets = result["available"]["buckets"]
    for name in chosen:
        query = narrowed(text, chosen, besides=name)
        if name == "price":
            prices = searcher.aggregate(query, {"price": _prices()})["price"]["buckets"]
        elif name == "available":
            flags = searcher.aggregate(query, {"available": _flags()})["available"]["buckets"]
        else:
            start = f"c{PART}" if name == "category" else f"[nsb]{PART}{name.removeprefix('attr.')}{PART}"
            others = searcher.aggregate(query, {"shown": _shown(f"{start}.*")})["shown"]["buckets"]
            own = {bucket["key"] for bucket in others}
            shown = [bucket for bucket in shown if bucket["key"] not in own] + others
    return facets_of(
        shown,
        prices,
        flags,
        asked,
        lambda names: {name: _ends(searcher, narrowed(text, chosen, besides=_facet(name)), name) for name in names},
    )


def _shown(include: str | None = None) -> dict[str, Any]:
    terms: dict[str, Any] = {"field": "shown", "size": MOST_TERMS}
    if include is not None:
        terms["include"] = include
    return {"terms": terms}


def _prices() -> dict[str, Any]:
    ranges = [{"from": low, "to": high} for low, high in pairwise(PRICE_STEPS)]
    return {"range": {"field": "price", "ranges": ranges}}


def _flags() -> dict[str, Any]:
    return {"terms": {"field": "available"}}


def _ends(searcher: Searcher, query: Query, name: str) -> tuple[float | None, float | None]:
    stats = searcher.aggregate(query, {"ends": {"stats": {"field": f"numbers.{name}"}}})["ends"]
    return stats["min"], stats["max"]
