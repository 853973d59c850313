"""What queries are made of in Elasticsearch: JSON. Texts were parted into terms before, here and in the index alike."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from serve.catalog.search.base import Sort

Query: TypeAlias = dict[str, Any]

EVERYTHING: Query = {"match_all": {}}
NOTHING: Query = {"match_none": {}}
MOST_ALIKE = 50
# Of so long a word each typo is a branch of an expression, which may have a thousand characters.
LONGEST_BEGINNING = 12


class Order(NamedTuple):
    """`key`: what it orders by is a number of each product's own, so that a page may begin after it."""

    by: list[dict[str, str]]
    key: bool


ORDERS: dict[Sort, Order] = {
    # Between equals the older one, as an index that products were written to one after the other has it.
    "relevance": Order([{"_score": "desc"}, {"by_age": "asc"}], False),
    "price": Order([{"by_price": "asc"}], True),
    "-price": Order([{"by_price": "desc"}], True),
    "newest": Order([{"by_age": "desc"}], True),
    "name": Order([{"by_name": "asc"}], False),
}


class ElasticForms:
    """Implements `queries.Forms`."""

    def term(self, field: str, term: str, score: float) -> Query:
        return _constant({"term": {field: {"value": term}}}, score)

    def beginning(self, field: str, start: str, score: float) -> Query:
        return _constant({"prefix": {field: {"value": start}}}, score)

    def alike(self, field: str, term: str, typos: int, score: float) -> Query:
        # Not the rewrite to constant scores, which would build the automaton once for each segment.
        alike = {"value": term, "fuzziness": typos, "transpositions": True, "max_expansions": MOST_ALIKE}
        return _constant({"fuzzy": {field: alike}}, score)

    def begins_alike(self, field: str, start: str, score: float) -> Query:
        if len(start) > LONGEST_BEGINNING:
            return NOTHING
        expression = "|".join(dict.fromkeys(_with_a_typo(start)))
        return _constant({"regexp": {field: {"value": f"({expression}).*", "flags": "NONE"}}}, score)

    def phrase(self, field: str, terms: Sequence[str], slop: int, score: float) -> Query:
        return _constant({"match_phrase": {field: {"query": " ".join(terms), "slop": slop}}}, score)

    def rarity(self, field: str, term: str, weight: float) -> Query:
        return {"term": {field: {"value": term, "boost": weight}}}

    def either(self, queries: Sequence[Query]) -> Query:
        return {"dis_max": {"queries": list(queries)}}

    def every(self, queries: Sequence[Query]) -> Query:
        return {"bool": {"must": list(queries)}}

    def some(self, queries: Sequence[Query], least: int) -> Query:
        return {"bool": {"should": list(queries), "minimum_should_match": least}}

    def finer(self, needed: Query, more: Sequence[Query]) -> Query:
        return {"bool": {"must": [needed], "should": list(more)}}

    def nothing(self) -> Query:
        return NOTHING


def within(queries: Sequence[Query]) -> Query:
    """All of them, for what they let through and not for how well."""
    if not queries:
        return EVERYTHING
    return queries[0] if len(queries) == 1 else {"bool": {"filter": list(queries)}}


def literally(text: str) -> str:
    """As an expression that means just this text."""
    return re.sub(r"([^\w\x1f])", r"\\\1", text)


def _constant(query: Query, score: float) -> Query:
    return {"constant_score": {"filter": query, "boost": score}}


def _with_a_typo(word: str) -> Iterator[str]:
    """Expressions for all words that have at most one letter wrong, missing, too much, or swapped."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        yield f"{literally(before)}.{literally(after)}"
        if after:
            yield f"{literally(before)}.{literally(after[1:])}"
            yield literally(before + after[1:])
        if len(after) > 1:
            yield literally(before + after[1] + after[0] + after[2:])
