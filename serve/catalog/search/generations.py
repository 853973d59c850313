"""The index on this machine's disk, with tantivy: the half that is written to, by one process.

data/search/CURRENT          the number of the generation that answers
data/search/7/               a generation
data/search/rebuild-wanted   there while somebody wants another one
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from tantivy import Index, IndexWriter, Query

from pipelines.events.catalog import ProductFacts
from pipelines.index_products import Change, ProductIndex
from serve.catalog.search.analysis import Analysis, folded
from serve.catalog.search.documents import (
    STATE,
    State,
    document,
    kept_in,
    prepare,
    recipe,
    schema,
    state_document,
    state_in,
)
from serve.catalog.search.engine import without_panic

HEAP = 64_000_000
CURRENT = "CURRENT"
WANTED = "rebuild-wanted"

Answer = TypeVar("Answer")
log = logging.getLogger("troupe.search")


def current(folder: Path) -> int | None:
    """The number of the generation that answers; None: there is none."""
    try:
        return int((folder / CURRENT).read_text())
    except (FileNotFoundError, ValueError):
        return None


def path(folder: Path, number: int) -> Path:
    return folder / str(number)


def stamp(path: Path) -> tuple[int, int, int]:
    """Another one after every commit."""
    status = (path / "meta.json").stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def state_of(index: Index) -> State:
    """How far the index has come. Raises ValueError if it does not say."""
    searcher = index.searcher()
    hits = searcher.search(Query.term_query(index.schema, "id", STATE), 1).hits
    if not hits:
        raise ValueError("the index has no state")
    return state_in(searcher.doc(hits[0][1]))


def ask_for_rebuild(folder: Path) -> None:
    """Whoever runs the indexer begins within a second, or when it is started."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WANTED).touch()


def is_rebuild_wanted(folder: Path) -> bool:
    """Whether somebody asked, and no new one answers yet."""
    return (folder / WANTED).exists()


class Generation:
    """Implements `ProductIndex`. It works in a thread of its own."""

    def __init__(self, folder: Path, analysis: Analysis, thread: ThreadPoolExecutor) -> None:
        self.folder = folder
        self._thread = thread
        self._schema = schema()
        self._recipe = recipe(analysis)
        self._analysis = analysis
        self._state = State(0, self._recipe)
        self._index: Index
        self._writer: IndexWriter

    def create(self) -> None:
        """Empty. Blocks."""
        self.folder.mkdir(parents=True)
        self._index = Index(self._schema, str(self.folder), reuse=False)
        self._prepare()
        self._writer = self._index.writer(HEAP, 1)
        self._commit(0)

    def open(self) -> None:
        """As it was left. Blocks. Raises ValueError if it is not as it must be, or another process writes to it."""
        self._index = Index.open(str(self.folder))
        self._prepare()
        self._state = state_of(self._index)
        if self._state.recipe != self._recipe:
            raise ValueError(f"the index is of the recipe {self._state.recipe}, not {self._recipe}")
        # Last: whoever has it keeps others out.
        self._writer = self._index.writer(HEAP, 1)

    def _prepare(self) -> None:
        prepare(self._index, self._analysis)
        self._index.config_reader("manual")
        self._index.reload()

    @property
    def position(self) -> int:
        """See `ProductIndex`."""
        return self._state.position

    async def write(self, changes: Sequence[Change], position: int) -> None:
        """See `ProductIndex`."""
        await self._run(partial(self._write, changes, position))

    def _write(self, changes: Sequence[Change], position: int) -> None:
        for change in changes:
            self._writer.delete_documents_by_term("id", change.product)
            if change.facts is None or change.product == STATE:
                continue
            try:
                made = document(change.facts, change.in_stock)
            except Exception:
                log.exception("the product %s cannot be indexed, and is not found", change.product)
                continue
            if made is not None:
                self._writer.add_document(made)
        self._commit(position)

    def _commit(self, position: int) -> None:
        state = State(position, self._recipe)
        self._writer.delete_documents_by_term("id", STATE)
        self._writer.add_document(state_document(state))
        self._writer.commit()
        self._index.reload()
        self._state = state

    async def of_skus(self, skus: Iterable[str]) -> list[ProductFacts]:
        """See `ProductIndex`."""
        return await self._run(partial(self._of_skus, list(skus)))

    def _of_skus(self, skus: list[str]) -> list[ProductFacts]:
        searcher = self._index.searcher()
        wanted = Query.term_set_query(self._schema, "sku", [folded(sku) for sku in skus])
        hits = searcher.search(wanted, max(1, searcher.num_docs)).hits
        return [kept_in(searcher.doc(at)).facts for _, at in hits]

    async def close(self) -> None:
        """See `ProductIndex`."""
        await self._run(self.shut)

    def shut(self) -> None:
        """Ends what the engine does in the background, and lets another process write. Blocks."""
        self._writer.wait_merging_threads()

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(without_panic, work))


class Generations:
    """Implements `ProductIndexes` in a folder."""

    def __init__(self, folder: Path, analysis: Analysis) -> None:
        self._folder = folder
        self._analysis = analysis
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._begun: Generation | None = None
        self._current: Generation | None = None

    async def close(self) -> None:
        """When the indexer has closed its indexes."""
        await asyncio.to_thread(self._thread.shutdown)

    async def current(self) -> Generation | None:
        """See `ProductIndexes`."""
        self._current = await self._run(self._open_current)
        return self._current

    def _open_current(self) -> Generation | None:
        number = current(self._folder)
        if number is None:
            return None
        found = Generation(path(self._folder, number), self._analysis, self._thread)
        try:
            without_panic(found.open)
        except Exception as error:
            if "LockBusy" in str(error):
                raise  # whole, but another process has not let go of it yet
            log.warning("the index of products cannot be used and is built anew: %s", error)
            return None
        return found

    async def begin(self) -> Generation:
        """See `ProductIndexes`."""
        self._begun = await self._run(self._begin)
        return self._begun

    def _begin(self) -> Generation:
        self._folder.mkdir(parents=True, exist_ok=True)
        answers = current(self._folder)
        there = [int(one.name) for one in self._folder.iterdir() if one.is_dir() and one.name.isdecimal()]
        for number in there:
            if number != answers:
                shutil.rmtree(path(self._folder, number))  # of a rebuild that was broken off
        made = Generation(path(self._folder, max([*there, answers or 0]) + 1), self._analysis, self._thread)
        made.create()
        return made

    async def switch_to(self, index: ProductIndex) -> None:
        """See `ProductIndexes`."""
        assert index is self._begun
        assert self._begun is not None
        await self._run(partial(self._switch, self._begun, self._current))
        self._current, self._begun = self._begun, None

    def _switch(self, new: Generation, old: Generation | None) -> None:
        before = current(self._folder)
        _write_durably(self._folder / CURRENT, new.folder.name)
        (self._folder / WANTED).unlink(missing_ok=True)
        if old is not None:
            old.shut()
        if before is not None:
            # Who reads it still has its files open and goes on with them.
            shutil.rmtree(path(self._folder, before), ignore_errors=True)

    async def rebuild_wanted(self) -> bool:
        """See `ProductIndexes`."""
        return await self._run(partial(is_rebuild_wanted, self._folder))

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(without_panic, work))


def _write_durably(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
