"""Filters and counts in Elasticsearch's JSON.

The words are looked for once: what is chosen filters the page after the counting, and each count has the filters that
apply to it. The counts of a facet ignore what is selected of it.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from serve.catalog.search.analysis import sound
from serve.catalog.search.base import Asked, Facets, Range, Wanted
from serve.catalog.search.documents import PART, attribute_term, category_term
from serve.catalog.search.elastic_forms import NOTHING, Query, literally, within
from serve.catalog.search.facet_counts import MOST_TERMS, PRICE_STEPS, Buckets, Ends, facets_of

# As if nothing were chosen, and all that is chosen; the others by the facet's place.
TEXT = "text"
CHOSEN = "chosen"
_ENDS = "ends."

_PRICES = {"range": {"field": "price", "ranges": [{"from": low, "to": high} for low, high in pairwise(PRICE_STEPS)]}}
_FLAGS = {"terms": {"field": "available"}}
_CATEGORIES = {"terms": {"field": "shown_categories", "size": MOST_TERMS}}
_ATTRIBUTES = {"terms": {"field": "shown_attributes", "size": MOST_TERMS}}
_ALL = {"categories": _CATEGORIES, "attributes": _ATTRIBUTES, "price": _PRICES, "available": _FLAGS}


def filters(asked: Asked) -> dict[str, Query]:
    """One query for each facet of which something is selected; attributes as attr.NAME."""
    found: dict[str, Query] = {}
    if asked.categories:
        found["category"] = {"terms": {"facet": [category_term(sound(path)) for path in asked.categories]}}
    if asked.price_min is not None or asked.price_max is not None:
        found["price"] = _between("price", Range(asked.price_min, asked.price_max))
    if asked.available is not None:
        found["available"] = {"term": {"available": asked.available}}
    for name, wanted in asked.attributes.items():
        found[_facet(name)] = _attribute(sound(name), wanted)
    return found


def _facet(name: str) -> str:
    return f"attr.{name}"


def _attribute(name: str, wanted: Wanted) -> Query:
    ways = [_between(_number(name), one) for one in wanted.ranges]
    if wanted.values:
        ways.append({"terms": {"facet": [attribute_term(name, "s", sound(one)) for one in wanted.values]}})
    return {"bool": {"should": ways, "minimum_should_match": 1}} if ways else NOTHING


def _between(field: str, ends: Range) -> Query:
    if ends.low == math.inf or ends.high == -math.inf:
        return NOTHING
    bounds = {"gte": ends.low, "lte": ends.high}
    return {"range": {field: {name: end for name, end in bounds.items() if end is not None and math.isfinite(end)}}}


def _number(name: str) -> str:
    return f"numbers.{name}"


def all_but(chosen: Mapping[str, Query], besides: str | None = None) -> list[Query]:
    return [query for name, query in chosen.items() if name != besides]


def counts(chosen: Mapping[str, Query], numbers: Iterable[str]) -> dict[str, Any]:
    """The aggregations of all facets, and of the ends of these attributes."""
    free = [name for name in numbers if _facet(name) not in chosen]
    made = {CHOSEN: _filtered(all_but(chosen), {**_ALL, **ends(free)})}
    for place, name in enumerate(chosen):
        made[str(place)] = _filtered(all_but(chosen, name), _own(name))
    if chosen:
        made[TEXT] = _filtered([], {})
    return made


def _filtered(queries: list[Query], inner: dict[str, Any]) -> dict[str, Any]:
    return {"filter": within(queries), **({"aggs": inner} if inner else {})}


def _own(name: str) -> dict[str, Any]:
    if name == "price":
        return {"price": _PRICES}
    if name == "available":
        return {"available": _FLAGS}
    if name == "category":
        return {"categories": _CATEGORIES}
    attribute = sound(name.removeprefix("attr."))
    terms = {**_ATTRIBUTES["terms"], "include": f"[nsb]{PART}{literally(attribute)}{PART}.*"}
    return {"attributes": {"terms": terms}, **ends([attribute])}


def ends(names: Iterable[str]) -> dict[str, Any]:
    """Aggregations of the lowest and the highest value of each."""
    made: dict[str, Any] = {}
    for name in names:
        made[f"{_ENDS}{name}"] = {"stats": {"field": _number(name)}}
    return made


def ends_query(names: Iterable[str], chosen: Mapping[str, Query]) -> dict[str, Any]:
    """The ends of these attributes alone."""
    return {name: _filtered(all_but(chosen, _facet(name)), ends([name])) for name in names}


def ends_in(counted: Mapping[str, Any]) -> dict[str, Ends]:
    """What `ends` found, wherever in the answer it stands."""
    found: dict[str, Ends] = {}
    for inner in counted.values():
        for key, value in inner.items():
            if key.startswith(_ENDS):
                found[key.removeprefix(_ENDS)] = (value["min"], value["max"])
    return found


def facets(counted: Mapping[str, Any], known: Mapping[str, Ends], chosen: Mapping[str, Query], asked: Asked) -> Facets:
    """What `counts` found. Raises KeyError with the names of the attributes whose ends are not `known`."""
    base = counted[CHOSEN]
    categories: Buckets = base["categories"]["buckets"]
    attributes: Buckets = base["attributes"]["buckets"]
    prices: Buckets = base["price"]["buckets"]
    flags: Buckets = base["available"]["buckets"]
    for place, name in enumerate(chosen):
        own = counted[str(place)]
        if name == "price":
            prices = own["price"]["buckets"]
        elif name == "available":
            flags = own["available"]["buckets"]
        elif name == "category":
            categories = own["categories"]["buckets"]
        else:
            others = [one for one in attributes if not one["key"].startswith(_starts(name))]
            attributes = others + own["attributes"]["buckets"]

    def ends_of(names: list[str]) -> Mapping[str, Ends]:
        if lacking := [name for name in names if name not in known]:
            raise KeyError(*lacking)
        return known

    return facets_of(categories + attributes, prices, flags, asked, ends_of)


def _starts(name: str) -> tuple[str, ...]:
    return tuple(f"{kind}{PART}{name.removeprefix('attr.')}{PART}" for kind in "nsb")
