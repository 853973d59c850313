"""The index on this machine's disk as a reader sees it: always the newest commit of the generation that answers.

A reader looks at the files before it answers, at most ten times a second; while nothing happens it costs nothing.
"""

import logging
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tantivy import Index, Searcher

from serve.catalog.search import generations
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import SearchRebuilding
from serve.catalog.search.documents import prepare, recipe

LOOK_SECONDS = 0.1
ASK_AGAIN_SECONDS = 60.0

log = logging.getLogger("troupe.search")


class _Opened(NamedTuple):
    generation: int
    stamp: tuple[int, int, int]
    files: Index


class Reader:
    """Several threads may use it. `look_every`: how old, in seconds, what it knows of the files may be."""

    def __init__(self, folder: Path, analysis: Analysis, look_every: float = LOOK_SECONDS) -> None:
        self._folder = folder
        self._analysis = analysis
        self._recipe = recipe(analysis)
        self._look_every = look_every
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._looked_at = float("-inf")
        self._asked_at = float("-inf")

    def searcher(self) -> Searcher:
        """Blocks. Raises SearchRebuilding while no index can answer."""
        with self._lock:
            now = time.monotonic()
            if self._opened is None or now - self._looked_at >= self._look_every:
                self._look()
                self._looked_at = now
            assert self._opened is not None
            return self._opened.files.searcher()

    def _look(self) -> None:
        for last in (False, True):
            number = generations.current(self._folder)
            if number is None:
                self._opened = None
                raise SearchRebuilding
            path = generations.path(self._folder, number)
            try:
                stamp = generations.stamp(path)
                if self._opened is None or self._opened.generation != number:
                    self._opened = _Opened(number, stamp, self._open(path))
                elif self._opened.stamp != stamp:
                    self._opened.files.reload()
                    self._opened = self._opened._replace(stamp=stamp)
                return
            except SearchRebuilding:
                self._opened = None
                raise
            except Exception:
                # Its place may just have been taken by the next one: then that is looked at.
                if last:
                    self._damaged(number)

    def _open(self, path: Path) -> Index:
        index = Index.open(str(path))
        prepare(index, self._analysis)
        index.config_reader("manual")
        index.reload()
        state = generations.state_of(index)
        if state.recipe != self._recipe:
            raise SearchRebuilding
        return index

    def _damaged(self, number: int) -> None:
        now = time.monotonic()
        self._opened = None
        if now - self._asked_at >= ASK_AGAIN_SECONDS:
            self._asked_at = now
            log.exception("generation %s of the index cannot be read; another one is asked for", number)
            generations.ask_for_rebuild(self._folder)
        raise SearchRebuilding
