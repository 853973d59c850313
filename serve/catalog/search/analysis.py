"""How texts become words, the same for products and for what is looked for."""

import re
import unicodedata
from functools import lru_cache
from typing import Literal, TypeAlias

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

Language: TypeAlias = Literal["en", "de"]

LONGEST_WORD = 60
_NAMES: dict[Language, str] = {"en": "english", "de": "german"}
_POSSESSIVE = re.compile(r"['’‘`´]s\b", re.IGNORECASE)
_HALVES = re.compile("[\ud800-\udfff]")
_DOTS = re.compile(r"\.{2,}")
_STOP_WORDS: dict[Language, str] = {
    "en": "a an and as at by for from in into is it of on or s that the this to with without",
    "de": (
        "am an auf aus bei das dem den der des die ein eine einem einen einer eines fur im in ist mit oder und "
        "vom von zu zum zur"
    ),
}


def sound(text: str) -> str:
    """Without halves of characters, which cannot be encoded."""
    return _HALVES.sub("\ufffd", text)


def normal(text: str) -> str:
    """Composed, compatible forms made one, and without the 's of English owners."""
    return _POSSESSIVE.sub("", unicodedata.normalize("NFKC", sound(text)))


def folded(text: str) -> str:
    """For comparing and sorting: without case, accents and repeated spaces."""
    parts = unicodedata.normalize("NFKD", sound(text).casefold())
    return " ".join("".join(c for c in parts if not unicodedata.combining(c)).split())


def key(name: str) -> str:
    """An attribute's name as filters and facets have it: ``Thread count`` is ``thread_count``."""
    return re.sub(r"\W+", "_", folded(name)).strip("_")


def value(text: str) -> str:
    """An attribute's value as filters have it; a list of them is parted by commas, a range by dots."""
    return folded(_DOTS.sub(".", text.replace(",", " ")))[:200]


class Analysis:
    """The words of texts of one language. `plain` and `stemmed` are for the index's fields."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.plain = _words().build()
        self.stemmed = _words().filter(Filter.stemmer(_NAMES[language])).build()
        self._stop = frozenset(_STOP_WORDS[language].split())
        self.stem = lru_cache(20_000)(self._stem)
        self.parts = lru_cache(50_000)(self._parts)

    def words(self, text: str) -> list[str]:
        """All words, folded but not stemmed."""
        return self.plain.analyze(normal(text))

    def _parts(self, word: str) -> tuple[str, ...]:
        """`words` of what has no spaces, remembered."""
        return tuple(self.words(word))

    def telling(self, words: list[str]) -> list[str]:
        """Those that say what is looked for; all of them if none does."""
        return [word for word in words if word not in self._stop] or words

    def _stem(self, word: str) -> str:
        stems = self.stemmed.analyze(word)
        return stems[0] if len(stems) == 1 else word


def _words() -> TextAnalyzerBuilder:
    simple = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(LONGEST_WORD))
    return simple.filter(Filter.lowercase()).filter(Filter.ascii_fold())
