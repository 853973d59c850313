"""What was looked for, marked in what was found. Everything else is escaped, so the result can be put into a page."""

import re
from collections.abc import Callable, Iterable
from html import escape

from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import Highlights, Matched
from serve.catalog.search.queries import SHORTEST_PREFIX, Words, forgiven
from serve.catalog.search.synonyms import Groups

SNIPPET = 200
_WORD = re.compile(r"\w+")


class _Meant(dict[str, bool]):
    """Whether a word is meant, asked once of each."""

    def __init__(self, is_meant: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_meant = is_meant

    def __missing__(self, word: str) -> bool:
        meant = self[word] = self._is_meant(word)
        return meant


class Marker:
    """For one query. A word is marked if it, its other forms, its synonyms or, where they count, its typos match."""

    def __init__(self, typed: Words, matched: Matched, analysis: Analysis, groups: Groups) -> None:
        self._analysis = analysis
        self._stems = {analysis.stem(word) for word in typed.words}
        self._stems |= set(_synonyms(typed, analysis, groups))
        self._start = typed.words[-1] if typed.open and typed.words else ""
        stems = ((word, analysis.stem(word)) for word in typed.words if forgiven(word))
        self._alike = [(word, forgiven(word), stem, forgiven(stem)) for word, stem in stems]
        self._typos = matched != "all_words"
        self._joined = {a + b for a, b in zip(typed.words, typed.words[1:], strict=False)}
        self._meant = _Meant(lambda word: any(map(self._is_meant, analysis.parts(word))))

    def highlights(self, name: str, description: str) -> Highlights:
        return Highlights(_marked(name, self._spots(name)), self._snippet(description))

    def _snippet(self, text: str) -> str:
        spots = self._spots(text)
        begin = _best_start(text, spots)
        end = len(text)
        if end - begin > SNIPPET:
            end = begin + SNIPPET
            end = max(text.rfind(" ", begin, end), end - 40) if " " in text[end - 40 : end] else end
        within = [(a - begin, b - begin) for a, b in spots if a >= begin and b <= end]
        dots = ("…" if begin else "", "…" if end < len(text) else "")
        return dots[0] + _marked(text[begin:end], within) + dots[1]

    def _spots(self, text: str) -> list[tuple[int, int]]:
        if not self._stems:
            return []
        meant = self._meant
        return [match.span() for match in _WORD.finditer(text) if meant[match.group()]]

    def _is_meant(self, word: str) -> bool:
        if self._analysis.stem(word) in self._stems:
            return True
        if len(self._start) >= SHORTEST_PREFIX and word.startswith(self._start):
            return True
        if not self._typos:
            return False
        if word in self._joined:
            return True
        own = self._analysis.stem(word)
        return any(
            within(word, meant, typos) or within(own, stem, of_stem) for meant, typos, stem, of_stem in self._alike
        )


def _synonyms(typed: Words, analysis: Analysis, groups: Groups) -> Iterable[str]:
    stems = [analysis.stem(word) for word in typed.words]
    for meant, others in groups.items():
        if any(tuple(stems[at : at + len(meant)]) == meant for at in range(len(stems) - len(meant) + 1)):
            for other in others:
                yield from (analysis.stem(word) for word in other)


def _best_start(text: str, spots: list[tuple[int, int]]) -> int:
    """Where the piece begins that has most of the marks, at a word."""
    if len(text) <= SNIPPET or not spots:
        return 0
    inside: Callable[[int], int] = lambda at: sum(at <= a and b <= at + SNIPPET for a, b in spots)  # noqa: E731
    best = max((a for a, _ in spots), key=lambda at: (inside(at), -at))
    if best + spots[0][1] <= SNIPPET:
        return 0
    near = max(0, best - 40)
    space = text.find(" ", near, best)
    return 0 if near == 0 else (space + 1 if space >= 0 else best)


def _marked(text: str, spots: Iterable[tuple[int, int]]) -> str:
    parts, at = [], 0
    for begin, end in spots:
        parts += [escape(text[at:begin]), "<mark>", escape(text[begin:end]), "</mark>"]
        at = end
    return "".join(parts) + escape(text[at:])


def within(one: str, other: str, most: int) -> bool:
    """Whether at most so many letters are wrong, missing, too much or swapped with their neighbour."""
    if abs(len(one) - len(other)) > most:
        return False
    # Each typo takes one letter away at most, and brings one: that alone tells most words apart.
    letters, others = set(one), set(other)
    if len(letters - others) > most or len(others - letters) > most:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        above, row = row, [i]
        for j, b in enumerate(other, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(above) > most:
            return False
        before = above
    return row[-1] <= most
