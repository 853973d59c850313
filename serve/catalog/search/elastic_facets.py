"""Filters and counts in Elasticsearch's JSON.

The words are looked for once: what is chosen filters the page after the counting, and each count has the filters that
apply to it. The counts of a facet ignore what is selected of it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from serve.catalog.search.analysis import sound
from serve.catalog.search.base import Asked, Facets, Range, Wanted
from serve.catalog.search.documents import PART, attribute_term, category_term
from serve.catalog.search.elastic_forms import NOTHING, Query, literally, within
from serve.catalog.search.facet_counts import MOST_TERMS, PRICE, Buckets, Ends, facets_of, prices_in

# As if nothing were chosen, and all that is chosen; the others by the facet's place.
TEXT = "text"
CHOSEN = "chosen"
_ENDS = "ends."

_SHOWN = {"terms": {"field": "shown", "size": MOST_TERMS}}
_ATTRIBUTES = {"terms": {"field": "shown_attributes", "size": MOST_TERMS}}
_ALL = {"shown": _SHOWN, "attributes": _ATTRIBUTES}
_AVAILABLE = ("true", "false")
# How the terms of a facet begin, of those that `shown` has.
_KINDS = {"category": (category_term(""),), "price": (PRICE,), "available": _AVAILABLE}


class EndsUnknown(Exception):
    """The lowest and the highest value of these attributes were not asked for."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


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


def counts(queries: list[Query], chosen: Mapping[str, Query], numbers: Iterable[str]) -> dict[str, Any]:
    """The aggregations of all facets within `queries`, and of the ends of these attributes if they are not chosen."""
    free = [name for name in numbers if _facet(name) not in chosen]
    return {CHOSEN: _filtered(queries, {**_ALL, **ends(free)})}


def own_counts(chosen: Mapping[str, Query]) -> dict[str, Any]:
    """Of each facet of which something is selected, without that."""
    return {str(place): _filtered(all_but(chosen, name), _own(name)) for place, name in enumerate(chosen)}


def text_count() -> dict[str, Any]:
    """Of what the words find, whatever is chosen."""
    return {TEXT: _filtered([], {})}


def _filtered(queries: list[Query], inner: dict[str, Any]) -> dict[str, Any]:
    return {"filter": within(queries), **({"aggs": inner} if inner else {})}


def _own(name: str) -> dict[str, Any]:
    if name in _KINDS:
        return {"shown": _SHOWN}
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


def facets(counted: Mapping[str, Any], known: dict[str, Ends], chosen: Mapping[str, Query], asked: Asked) -> Facets:
    """What `counts` found, and of attributes that were not seen before what is `known`. Raises EndsUnknown."""
    known = ends_in(counted) | known
    base = counted[CHOSEN]
    shown: Buckets = base["shown"]["buckets"]
    attributes: Buckets = base["attributes"]["buckets"]
    for place, name in enumerate(chosen):
        own = counted[str(place)]
        if name in _KINDS:
            shown = _instead(own["shown"]["buckets"], shown, _KINDS[name])
        else:
            attributes = _instead(own["attributes"]["buckets"], attributes, _starts(name))

    def ends_of(names: list[str]) -> Mapping[str, Ends]:
        if lacking := [name for name in names if name not in known]:
            raise EndsUnknown(lacking)
        return known

    flags = [{**bucket, "key": bucket["key"] == "true"} for bucket in shown if bucket["key"] in _AVAILABLE]
    return facets_of(shown + attributes, prices_in(shown), flags, asked, ends_of)


def _instead(own: Buckets, others: Buckets, starts: tuple[str, ...]) -> Buckets:
    """The counts of what begins so from `own`, of all else from `others`."""
    kept = [one for one in others if not one["key"].startswith(starts)]
    return kept + [one for one in own if one["key"].startswith(starts)]


def _starts(name: str) -> tuple[str, ...]:
    return tuple(f"{kind}{PART}{name.removeprefix('attr.')}{PART}" for kind in "nsb")
