"""The databases of a data folder, read only and each as of one moment, also while a shop runs on them.

What follows from the journal is opened before it, and the gateway, which it follows, after it. So what stands in a read
model is in the journal too, and what the journal knows of money is in the gateway's book.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Select, create_engine, event

from serve.gateway.clock import now_ms

T = TypeVar("T")
BUSY_SECONDS = 10.0
PAGE = 1_000


class Sources(NamedTuple):
    """One snapshot of each database; None where there is none yet.

    `opened_at`: just before the first was taken; `began`: just before the journal's (UTC, milliseconds).
    """

    opened_at: int
    flows: Connection | None
    orders: Connection | None
    notifications: Connection | None
    catalog: Connection | None
    payments: Connection | None
    began: int
    journal: Connection
    gateway: Connection | None


class NoShop(Exception):
    """There is nothing to audit in the folder; a text for people."""


@contextmanager
def opened(folder: Path) -> Iterator[Sources]:
    """All databases. Raises NoShop."""
    if not (folder / "journal.db").exists():
        raise NoShop(f"There is no shop in {folder}.")
    with ExitStack() as stack:

        def snapshot(name: str) -> Connection | None:
            path = folder / f"{name}.db"
            return stack.enter_context(_snapshot(path)) if path.exists() else None

        opened_at = now_ms()
        # One after the other: each is at most as new as what it follows from.
        flows, orders = snapshot("flows"), snapshot("orders")
        notifications, catalog, payments = snapshot("notifications"), snapshot("catalog"), snapshot("payments")
        began = now_ms()
        journal = stack.enter_context(_snapshot(folder / "journal.db"))
        read_models = (flows, orders, notifications, catalog, payments)
        yield Sources(opened_at, *read_models, began, journal, snapshot("gateway"))


@contextmanager
def _snapshot(path: Path) -> Iterator[Connection]:
    url = f"sqlite:///file:{path.absolute()}?mode=ro&uri=true"
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _begin_by_hand(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            # The snapshot is taken by the first read, not by BEGIN.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
            yield connection
            connection.exec_driver_sql("ROLLBACK")
    finally:
        engine.dispose()


def has_table(db: Connection, name: str) -> bool:
    found = db.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return found.first() is not None


def stream(db: Connection, query: Select[Any]) -> Iterator[Any]:
    """The rows, a page of them in memory at a time."""
    result = db.execute(query, execution_options={"yield_per": PAGE})
    try:
        yield from result
    finally:
        result.close()


class Beside(Generic[T]):
    """A stream in order of a key, walked beside another one in the same order. Keys are compared byte by byte."""

    def __init__(self, items: Iterable[T], key: Callable[[T], str], stray: Callable[[T], None]) -> None:
        self._items = iter(items)
        self._key = key
        self._stray = stray
        self._next: T | None = next(self._items, None)

    def at(self, wanted: str) -> list[T]:
        """All items with this key; those before it, which nobody asked for, are strays."""
        found: list[T] = []
        while self._next is not None and self._key(self._next) <= wanted:
            if self._key(self._next) == wanted:
                found.append(self._next)
            else:
                self._stray(self._next)
            self._next = next(self._items, None)
        return found

    def next_key(self) -> str | None:
        """The key of the item that comes next, None at the end."""
        return None if self._next is None else self._key(self._next)

    def end(self) -> None:
        """Whatever is left is stray."""
        while self._next is not None:
            self._stray(self._next)
            self._next = next(self._items, None)
