"""From what somebody typed to a query of an engine's. No syntax is parsed anywhere: there is nothing to inject into.

A word counts by the best place where it stands, a whole query by the sum of its words. What is rarer, or stands in a
shorter name, decides between equals.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from serve.catalog.search.analysis import Analysis, folded
from serve.catalog.search.base import Matched
from serve.catalog.search.documents import TEXTS
from serve.catalog.search.synonyms import Groups

MOST_WORDS = 24
SHORTEST_PREFIX = 2
SHORTEST_TYPO = 4
SHORTEST_OPEN_TYPO = 5
SHORTEST_DOUBLE_TYPO = 8

EXACT_SKU = 10_000.0
SKU_PREFIX = 500.0
WHOLE_NAME = 200.0
IN_ORDER = 20.0
# By field: the word itself, another form of it, a longer word that begins so, a synonym, a typo, two typos.
WORD = {"name": 100.0, "category": 42.0, "attribute": 32.0, "description": 12.0}
FORM = {"name": 95.0, "category": 40.0, "attribute": 30.0, "description": 10.0}
PREFIX = {"name": 70.0, "category": 36.0, "attribute": 26.0, "description": 5.0}
SYNONYM = {"name": 60.0, "category": 34.0, "attribute": 24.0, "description": 6.0}
TYPO = {"name": 50.0, "category": 22.0, "attribute": 16.0, "description": 4.0}
TWO_TYPOS = {"name": 44.0, "category": 20.0, "attribute": 14.0, "description": 3.0}
PARTED = 90.0
RARITY = 0.3


class Words(NamedTuple):
    """What was typed, as words; `open`: the last of them may go on."""

    whole: str
    words: list[str]
    open: bool


def words_of(text: str, analysis: Analysis) -> Words:
    every = analysis.words(text)[:MOST_WORDS]
    telling = analysis.telling(every)
    is_open = bool(every) and telling[-1:] == every[-1:] and not text[-1:].isspace()
    return Words(folded(text), telling, is_open)


def forgiven(word: str) -> int:
    """How many typos a word may have: none in short ones and in numbers."""
    if len(word) < SHORTEST_TYPO or any(c.isdigit() for c in word):
        return 0
    return 2 if len(word) >= SHORTEST_DOUBLE_TYPO else 1


Query = TypeVar("Query")


class Forms(Protocol[Query]):
    """What queries are made of in one engine. With a `score` it is that of whatever is found, however often."""

    def term(self, field: str, term: str, score: float) -> Query: ...

    def beginning(self, field: str, start: str, score: float) -> Query:
        """Terms that begin so."""
        ...

    def alike(self, field: str, term: str, typos: int, score: float) -> Query:
        """Terms with at most so many letters wrong, missing, too much, or swapped with their neighbour."""
        ...

    def begins_alike(self, field: str, start: str, score: float) -> Query:
        """Terms whose beginning has at most one typo."""
        ...

    def phrase(self, field: str, terms: Sequence[str], slop: int, score: float) -> Query: ...

    def rarity(self, field: str, term: str, weight: float) -> Query:
        """Scored by how rare the term is and how short the field."""
        ...

    def either(self, queries: Sequence[Query]) -> Query:
        """The best of them counts."""
        ...

    def every(self, queries: Sequence[Query]) -> Query:
        """All of them count."""
        ...

    def some(self, queries: Sequence[Query], least: int) -> Query:
        """At least so many of them, and all that fit count."""
        ...

    def finer(self, needed: Query, more: Sequence[Query]) -> Query:
        """What fits `needed`; `more` adds to the score."""
        ...

    def nothing(self) -> Query: ...


class Texts(Generic[Query]):
    """Makes the queries of one text. Without words it finds nothing, except by its SKU."""

    def __init__(self, words: Words, analysis: Analysis, groups: Groups, forms: Forms[Query]) -> None:
        self._typed = words
        self._stem = analysis.stem
        self._groups = groups
        self._forms = forms

    def query(self, matched: Matched) -> Query:
        """`all_words`: each has to be there; `typos`: or one like it; `some_words`: half of those are enough."""
        whole = self._typed.whole
        if not whole:
            return self._forms.nothing()
        sku = [self._forms.term("sku", whole, EXACT_SKU)]
        if self._typed.open and len(whole) >= 3:
            sku.append(self._forms.beginning("sku", whole, SKU_PREFIX))
        words = self._words(matched) if self._typed.words else self._forms.nothing()
        return self._either([*sku, words])

    def others_in_names(self) -> list[Query]:
        """One query for each word but the last, which names have."""
        return [self._forms.term("name", self._stem(word), 1.0) for word in self._typed.words[:-1]]

    def _words(self, matched: Matched) -> Query:
        units = list(self._units(matched != "all_words"))
        if matched == "some_words" and len(units) > 1:
            needed = self._forms.some(units, (len(units) + 1) // 2)
        else:
            needed = self._every(units)
        return self._forms.finer(needed, list(self._finer()))

    def _finer(self) -> Iterable[Query]:
        """What only decides the order."""
        typed, stems = self._typed, [self._stem(word) for word in self._typed.words]
        yield self._forms.term("whole_name", typed.whole, WHOLE_NAME)
        if len(stems) > 1:
            yield self._forms.phrase("name", stems, 1, IN_ORDER)
        for stem in stems:
            yield self._forms.rarity("name", stem, RARITY)
            yield self._forms.rarity("description", stem, RARITY / 4)

    def _units(self, typos: bool) -> Iterable[Query]:
        """One query for each word, or for some that have synonyms together."""
        words, at = self._typed.words, 0
        stems = [self._stem(word) for word in words]
        longest = max((len(one) for one in self._groups), default=0)
        while at < len(words):
            length, others = 1, self._groups.get((stems[at],), ())
            for more in range(min(longest, len(words) - at), 1, -1):
                if (found := self._groups.get(tuple(stems[at : at + more]))) is not None:
                    length, others = more, found
                    break
            said = self._every([self._word(n, typos) for n in range(at, at + length)])
            yield self._either([said, *(self._synonym(other, length) for other in others)])
            at += length

    def _synonym(self, words: Sequence[str], stands_for: int) -> Query:
        share = stands_for / len(words)
        return self._every(
            [
                self._either(
                    [self._forms.term(field, self._stem(word), score * share) for field, score in SYNONYM.items()]
                )
                for word in words
            ]
        )

    def _word(self, at: int, typos: bool) -> Query:
        word = self._typed.words[at]
        ways = [self._forms.term(f"{field}_words", word, WORD[field]) for field in TEXTS]
        ways += [self._forms.term(field, self._stem(word), FORM[field]) for field in TEXTS]
        is_last = at == len(self._typed.words) - 1
        goes_on = is_last and self._typed.open and len(word) >= SHORTEST_PREFIX
        if goes_on:
            ways += [self._forms.beginning(f"{field}_words", word, score) for field, score in PREFIX.items()]
        if typos:
            ways += self._alike(word, goes_on)
            if len(word) >= 3 and not goes_on:
                ways.append(self._forms.beginning("name_words", word, TYPO["name"]))
            ways += self._parted_otherwise(at)
        return self._either(ways)

    def _alike(self, word: str, goes_on: bool) -> Iterable[Query]:
        # The stems, so that a typo in a plural is one of two; in names the words too, which stems can be far from.
        stem = self._stem(word)
        sought = [("name_words", "name", word), *((field, field, stem) for field in TEXTS)]
        for distance, scores in ((1, TYPO), (2, TWO_TYPOS)):
            for field, place, text in sought:
                if forgiven(text) >= distance:
                    yield self._forms.alike(field, text, distance, scores[place])
        if goes_on and forgiven(word) and len(word) >= SHORTEST_OPEN_TYPO:
            yield self._forms.begins_alike("name_words", word, TYPO["name"] * 0.8)

    def _parted_otherwise(self, at: int) -> Iterable[Query]:
        """``tea pot`` for ``teapot``, ``teatowel`` for ``tea towel``, ``26cm`` for ``26 cm``."""
        words = self._typed.words
        for first in (at - 1, at):
            if 0 <= first < len(words) - 1:
                joined = words[first] + words[first + 1]
                yield self._forms.term("name_words", joined, PARTED)
                yield self._forms.term("category_words", joined, TYPO["category"])
        word = words[at]
        for cut in range(1, len(word)):
            left, right = word[:cut], word[cut:]
            if (len(left) >= 3 and len(right) >= 3) or left[-1].isdigit() != right[0].isdigit():
                yield self._forms.phrase("name_words", [left, right], 0, PARTED)

    def _either(self, queries: Sequence[Query]) -> Query:
        return queries[0] if len(queries) == 1 else self._forms.either(queries)

    def _every(self, queries: Sequence[Query]) -> Query:
        return queries[0] if len(queries) == 1 else self._forms.every(queries)
