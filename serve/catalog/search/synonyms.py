"""Words that mean the same to shoppers, from a file that a merchant edits while the shop runs.

One group a line: ``mug, cup, beaker`` (each finds all), or ``sofa => couch, settee`` (only from left to right). Several
words may stand for one: ``dish towel, tea towel``. ``#`` begins a comment.
"""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from serve.catalog.search.analysis import Analysis

LOOK_SECONDS = 1.0
MOST_LINES = 10_000
OWN = Path(__file__).parent

log = logging.getLogger("troupe.search")

Stems: TypeAlias = tuple[str, ...]
Groups: TypeAlias = Mapping[Stems, tuple[tuple[str, ...], ...]]


class BadSynonyms(Exception):
    """The file cannot be read; says in which line and why."""


def parsed(text: str, analysis: Analysis) -> Groups:
    """By the stems of a word or words, all that may stand in its place. Raises BadSynonyms."""
    groups: dict[Stems, dict[tuple[str, ...], None]] = {}
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise BadSynonyms(f"more than {MOST_LINES} lines")
    for number, line in enumerate(lines, start=1):
        meant = line.partition("#")[0].strip()
        if not meant:
            continue
        left, arrow, right = meant.partition("=>")
        froms = _phrases(left, number, analysis)
        tos = _phrases(right, number, analysis) if arrow else froms
        if not arrow and len(froms) < 2:
            raise BadSynonyms(f"line {number}: a group needs two words or more, parted by commas")
        for one in froms:
            stems = tuple(analysis.stem(word) for word in one)
            groups.setdefault(stems, {}).update({other: None for other in tos if other != one})
    return {stems: tuple(others) for stems, others in groups.items()}


def _phrases(text: str, number: int, analysis: Analysis) -> list[tuple[str, ...]]:
    phrases = [tuple(analysis.words(part)) for part in text.split(",")]
    if not all(phrases):
        raise BadSynonyms(f"line {number}: there is nothing between two commas, or at an end")
    return phrases


class Synonyms:
    """The groups of a file as it is now; a file that cannot be read any more leaves them as they were."""

    def __init__(self, path: Path | None, analysis: Analysis) -> None:
        """`path`: None for those that come with the shop. Raises BadSynonyms."""
        self._path = path or OWN / f"synonyms_{analysis.language}.txt"
        self._analysis = analysis
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int] | None = None
        self._groups: Groups = {}
        self._read()

    def known(self) -> Groups | None:
        """The groups as they were within the last second, or None: then the file has to be looked at."""
        return self._groups if time.monotonic() - self._looked_at < LOOK_SECONDS else None

    def groups(self) -> Groups:
        """Looks at the file at most once a second; blocks for that, so not for an event loop."""
        with self._lock:
            if self.known() is None:
                try:
                    self._read()
                except BadSynonyms as error:
                    log.error("the synonyms stay as they were: %s", error)
            return self._groups

    def _read(self) -> None:
        self._looked_at = time.monotonic()
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            text = self._path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise BadSynonyms(f"{self._path}: {error}") from None
        try:
            self._groups = parsed(text, self._analysis)
        except BadSynonyms as error:
            raise BadSynonyms(f"{self._path}: {error}") from None
