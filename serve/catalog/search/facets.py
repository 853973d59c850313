"""Filters, and how many products each further filter would leave.

The counts of a facet ignore what is selected of it: who has chosen red still sees how many are blue.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

from tantivy import FieldType, Occur, Query, Schema, Searcher

from serve.catalog.search.analysis import sound
from serve.catalog.search.base import (
    Asked,
    AttributeFacet,
    AvailabilityCount,
    CategoryCount,
    Facets,
    PriceCount,
    ValueCount,
    Wanted,
)
from serve.catalog.search.documents import PART, attribute_term, category_term

MOST_TERMS = 5_000
MOST_ATTRIBUTES = 30
MOST_VALUES = 100
MOST_NUMBERS = 20_000
# Minor units: 1, 2, 5, 10, 20 and so on of what a hundred of them make. Fixed, so that a choice does not move them.
PRICE_STEPS = [0, *(step * 10**power for power in range(2, 9) for step in (1, 2, 5)), 10**9 + 1]

Buckets = list[dict[str, Any]]


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
    units = {bool(bucket["key"]): int(bucket["doc_count"]) for bucket in flags}
    return Facets(
        _tree(shown, asked),
        [
            PriceCount(int(bucket["from"]), int(bucket["to"]), int(bucket["doc_count"]))
            for bucket in prices
            if bucket["doc_count"] and "from" in bucket and "to" in bucket
        ],
        AvailabilityCount(units.get(True, 0), units.get(False, 0)),
        _attributes(searcher, text, chosen, shown, asked),
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


def _tree(shown: Buckets, asked: Asked) -> list[CategoryCount]:
    nodes: dict[str, CategoryCount] = {}
    for bucket in shown:
        kind, *parts = bucket["key"].split(PART)
        if kind != "c":
            continue
        path, name = parts
        before = nodes.get(path)
        # The same category under an old name and a new one, until all its products are told again.
        count = int(bucket["doc_count"]) + (before.count if before else 0)
        nodes[path] = CategoryCount(path, before.name if before else name, count, path in asked.categories, [])
    roots: list[CategoryCount] = []
    for path in sorted(nodes):
        above = nodes.get(path.rpartition("/")[0])
        (roots if above is None else above.children).append(nodes[path])
    return roots


def _attributes(
    searcher: Searcher, text: Query, chosen: Mapping[str, Query], shown: Buckets, asked: Asked
) -> list[AttributeFacet]:
    values: dict[tuple[str, str], dict[str, ValueCount]] = {}
    labels: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for bucket in sorted(shown, key=lambda bucket: (-bucket["doc_count"], bucket["key"])):
        kind, *parts = bucket["key"].split(PART)
        count = int(bucket["doc_count"])
        if kind == "n":
            name, label = parts
            numbers[name] = numbers.get(name, 0) + count
        elif kind in ("s", "b"):
            name, value, label, said = parts
            of_name = values.setdefault((name, kind), {})
            before = of_name.get(value)
            selected = name in asked.attributes and value in asked.attributes[name].values
            of_name[value] = ValueCount(
                value, before.label if before else said, count + (before.count if before else 0), selected
            )
        else:
            continue
        labels.setdefault(name, label)
    found = [_values(name, kind, labels[name], list(counts.values())) for (name, kind), counts in values.items()]
    for name, count in numbers.items():
        low, high = _ends(searcher, narrowed(text, chosen, besides=_facet(name)), name)
        found.append(AttributeFacet(name=name, label=labels[name], type="number", count=count, low=low, high=high))
    return sorted(found, key=lambda one: (-one.count, one.name))[:MOST_ATTRIBUTES]


def _values(name: str, kind: str, label: str, counts: list[ValueCount]) -> AttributeFacet:
    type: Literal["flag", "text"] = "flag" if kind == "b" else "text"
    counts.sort(key=lambda one: (-one.count, one.value))
    return AttributeFacet(
        name=name, label=label, type=type, count=sum(one.count for one in counts), values=counts[:MOST_VALUES]
    )


def _ends(searcher: Searcher, query: Query, name: str) -> tuple[float | None, float | None]:
    stats = searcher.aggregate(query, {"ends": {"stats": {"field": f"numbers.{name}"}}})["ends"]
    return stats["min"], stats["max"]
