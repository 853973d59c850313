"""The adapters of the journal port. Add one here, and the whole contract is asked of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from actors.journal.base import Journal
from actors.journal.mongo import MongoJournal
from actors.journal.mysql import MySqlJournal
from actors.journal.sql import SqlJournal
from tests.contract.own_databases import mongo_database, sql_database
from tests.simulation.database import Database
from tests.simulation.documents import DocumentJournal
from tests.simulation.journal import SimulatedJournal
from tests.unit.doubles import FakeClock, MemoryJournal

# Two connections to one database, as an old and a new incarnation have them.
Two = tuple[Journal, Journal]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Two]:
    path = str(folder / "journal.db")
    one, two = SqlJournal(path), SqlJournal(path)
    await one.setup()
    await two.setup()
    yield one, two
    await one.close()
    await two.close()


@asynccontextmanager
async def simulated(_: Path) -> AsyncIterator[Two]:
    """Its faults are off: it must not be able to do what no real one can."""
    database = Database(FakeClock().wall)
    yield SimulatedJournal(database), SimulatedJournal(database)


@asynccontextmanager
async def simulated_documents(_: Path) -> AsyncIterator[Two]:
    database = Database(FakeClock().wall)
    yield DocumentJournal(database), DocumentJournal(database)


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[Two]:
    """The double on which the promises are tested."""
    journal = MemoryJournal(FakeClock())
    yield journal, journal


ADAPTERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Two]]] = {
    "sqlite": sqlite,
    "simulated": simulated,
    "simulated documents": simulated_documents,
    "in memory": in_memory,
}


@asynccontextmanager
async def mongo(_: Path) -> AsyncIterator[Two]:
    with mongo_database() as url:
        one, two = MongoJournal(url), MongoJournal(url)
        await one.setup()
        await two.setup()
        yield one, two
        await one.close()
        await two.close()


@asynccontextmanager
async def mysql(_: Path, server: str, ordered: bool) -> AsyncIterator[Two]:
    with sql_database(server) as url:
        one, two = MySqlJournal(url, ordered), MySqlJournal(url, ordered)
        await one.setup()
        yield one, two
        await one.close()
        await two.close()


# These need a server.
SERVERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Two]]] = {
    "mongo": mongo,
    "mariadb": partial(mysql, server="MARIADB", ordered=False),
    "mariadb, ordered": partial(mysql, server="MARIADB", ordered=True),
    "mysql": partial(mysql, server="MYSQL", ordered=False),
    "mysql, ordered": partial(mysql, server="MYSQL", ordered=True),
}
