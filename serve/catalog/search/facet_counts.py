"""From an engine's counts of terms to facets."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import msgspec

from serve.catalog.search.base import (
    Asked,
    AttributeFacet,
    AvailabilityCount,
    CategoryCount,
    Facets,
    PriceCount,
    ValueCount,
)
from serve.catalog.search.documents import PART

MOST_TERMS = 5_000
MOST_ATTRIBUTES = 30
MOST_VALUES = 100
# Minor units: 1, 2, 5, 10, 20 and so on of what a hundred of them make. Fixed, so that a choice does not move them;
# with others an index in Elasticsearch is of another recipe, as it holds in which step a price lies.
PRICE_STEPS = [0, *(step * 10**power for power in range(2, 9) for step in (1, 2, 5)), 10**9 + 1]
PRICE = f"p{PART}"

Buckets: TypeAlias = list[dict[str, Any]]
Ends: TypeAlias = tuple[float | None, float | None]


def facets_of(
    shown: Buckets,
    prices: Buckets,
    flags: Buckets,
    asked: Asked,
    ends: Callable[[list[str]], Mapping[str, Ends]],
) -> Facets:
    """`ends`: the lowest and the highest value of each of these attributes, which are numbers."""
    units = {bool(bucket["key"]): int(bucket["doc_count"]) for bucket in flags}
    return Facets(
        _tree(shown, asked),
        [
            PriceCount(int(bucket["from"]), int(bucket["to"]), int(bucket["doc_count"]))
            for bucket in prices
            if bucket["doc_count"] and "from" in bucket and "to" in bucket
        ],
        AvailabilityCount(units.get(True, 0), units.get(False, 0)),
        _attributes(shown, asked, ends),
    )


def price_terms(price: int) -> list[str]:
    """The step that a price lies in, for engines that count terms; none beyond the last."""
    return [f"{PRICE}{low}" for low, high in pairwise(PRICE_STEPS) if low <= price < high]


def prices_in(shown: Buckets) -> Buckets:
    """The counts of `price_terms`, in order."""
    counts = {bucket["key"]: bucket["doc_count"] for bucket in shown}
    steps = ((low, high, f"{PRICE}{low}") for low, high in pairwise(PRICE_STEPS))
    return [{"from": low, "to": high, "doc_count": counts[term]} for low, high, term in steps if term in counts]


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


def _attributes(shown: Buckets, asked: Asked, ends: Callable[[list[str]], Mapping[str, Ends]]) -> list[AttributeFacet]:
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
    found += [AttributeFacet(name=n, label=labels[n], type="number", count=count) for n, count in numbers.items()]
    found = sorted(found, key=lambda one: (-one.count, one.name))[:MOST_ATTRIBUTES]
    known = ends([one.name for one in found if one.type == "number"])
    return [
        msgspec.structs.replace(one, low=known[one.name][0], high=known[one.name][1]) if one.type == "number" else one
        for one in found
    ]


def _values(name: str, kind: str, label: str, counts: list[ValueCount]) -> AttributeFacet:
    type: Literal["flag", "text"] = "flag" if kind == "b" else "text"
    counts.sort(key=lambda one: (-one.count, one.value))
    return AttributeFacet(
        name=name, label=label, type=type, count=sum(one.count for one in counts), values=counts[:MOST_VALUES]
    )
