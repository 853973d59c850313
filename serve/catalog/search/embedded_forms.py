"""What queries are made of in tantivy."""

from collections.abc import Sequence

from tantivy import Occur, Query, Schema


class EmbeddedForms:
    """Implements `queries.Forms`."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def term(self, field: str, term: str, score: float) -> Query:
        return Query.const_score_query(Query.term_query(self._schema, field, term), score)

    def beginning(self, field: str, start: str, score: float) -> Query:
        return Query.const_score_query(Query.fuzzy_term_query(self._schema, field, start, 0, True, True), score)

    def alike(self, field: str, term: str, typos: int, score: float) -> Query:
        return Query.const_score_query(Query.fuzzy_term_query(self._schema, field, term, typos, True, False), score)

    def begins_alike(self, field: str, start: str, score: float) -> Query:
        return Query.const_score_query(Query.fuzzy_term_query(self._schema, field, start, 1, True, True), score)

    def phrase(self, field: str, terms: Sequence[str], slop: int, score: float) -> Query:
        return Query.const_score_query(Query.phrase_query(self._schema, field, list(terms), slop=slop), score)

    def rarity(self, field: str, term: str, weight: float) -> Query:
        return Query.boost_query(Query.term_query(self._schema, field, term), weight)

    def either(self, queries: Sequence[Query]) -> Query:
        return Query.disjunction_max_query(list(queries))

    def every(self, queries: Sequence[Query]) -> Query:
        return Query.boolean_query([(Occur.Must, query) for query in queries])

    def some(self, queries: Sequence[Query], least: int) -> Query:
        return Query.boolean_query([(Occur.Should, one) for one in queries], minimum_number_should_match=least)

    def finer(self, needed: Query, more: Sequence[Query]) -> Query:
        return Query.boolean_query([(Occur.Must, needed), *((Occur.Should, one) for one in more)])

    def nothing(self) -> Query:
        return Query.empty_query()
