"""Several processes write at once: what SQLite's one writer had made safe is safe on a server too.

Each store here has an engine of its own, as every process has.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import pymysql
import pytest
import sqlalchemy as sa

from actors import payment
from actors.runtime.wire import encode
from pipelines.events.users import UserProfileChanged
from pipelines.keep_transactions import Event
from pipelines.list_orders import OrderNote
from pipelines.log.base import Happened
from pipelines.log.outbox import OutboxLog
from pipelines.sql.mysql import open_mysql
from pipelines.sql.retrying import OutcomeUnknown, retried
from serve.catalog.saving import Saved
from serve.catalog.schemas import CatalogRefused, ProductChange, ProductDraft
from serve.catalog.store import Store as CatalogStore
from serve.databases import SharedTransactions
from serve.gateway.problems import Problem
from serve.notifications.sendings import NewMail
from serve.notifications.store import NewNotice, NotificationStore
from serve.orders.store import OrderStore
from serve.payments.transactions import TransactionStore
from serve.users.accounts_store import AccountsStore, LinkUsed
from serve.users.addresses import MOST, AddressBook
from serve.users.attempts import PAIR, Attempt, AttemptsStore
from serve.users.links import new_link
from serve.users.schemas import NewAddress
from serve.users.sessions_store import Opening, SessionsStore
from serve.users.social.store import Code, IdentitiesStore, LastWayIn
from serve.users.store import open_engine
from serve.users.tables import EmailTaken, Session, User, ended_sessions, outbox
from serve.users.telling import tell
from tests.databases import Databases

T = TypeVar("T")
One = TypeVar("One")
NOW = 1_750_000_000_000
WRITERS = 6
ON_SERVERS = [
    pytest.param("mysql", marks=pytest.mark.servers),
    pytest.param("mariadb", marks=pytest.mark.servers),
]


def at_once(ones: Sequence[One], does: Callable[[One, int], T]) -> list[Any]:
    """What `does` returns or raises with each and its number; all begin together."""
    ready = threading.Barrier(len(ones))

    def do(one: One, number: int) -> T | Exception:
        ready.wait(10)
        try:
            return does(one, number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(ones)) as threads:
        return list(threads.map(do, ones, range(len(ones))))


def kinds(outcomes: list[Any]) -> dict[str, int]:
    """How many there are of each result and each kind of error."""
    names = [type(one).__name__ if isinstance(one, BaseException) else str(one) for one in outcomes]
    return {name: names.count(name) for name in names}


@pytest.fixture
def engines(databases: Databases) -> Iterator[list[sa.Engine]]:
    """Of the users' database."""
    made = [open_engine(databases("users")) for _ in range(WRITERS)]
    yield made
    for engine in made:
        engine.dispose()


def user(number: int, email: str = "", hashed: str = "hash") -> User:
    return User(f"u{number}", email or f"u{number}@example.com", "Ada", hashed, (), NOW, 1)


def told(engine: sa.Engine) -> list[tuple[str, int]]:
    """Entities and versions of the outbox."""
    found = sa.select(outbox.c.entity, outbox.c.version).order_by(outbox.c.position)
    with engine.connect() as connection:
        return [(row.entity, row.version) for row in connection.execute(found)]


def test_one_address_is_registered_once(engines: list[sa.Engine]) -> None:
    stores = [AccountsStore(engine) for engine in engines]
    made = at_once(stores, lambda store, number: store.add(user(number, "ada@example.com")))
    assert kinds(made) == {"None": 1, EmailTaken.__name__: WRITERS - 1}
    assert len(told(engines[0])) == 1


def test_a_refresh_token_is_exchanged_once(engines: list[sa.Engine]) -> None:
    AccountsStore(engines[0]).add(user(1))
    session = Session("s1", "u1", b"x", 0, NOW, NOW, NOW + 1000)
    assert SessionsStore(engines[0]).open_session(session, Opening("password", True, "hash")) == []
    stores = [SessionsStore(engine) for engine in engines]
    found = at_once(stores, lambda store, _: store.exchange(session, 0, NOW + 1, NOW + 2000))
    assert kinds(found) == {"True": 1, "False": WRITERS - 1}


def test_a_link_is_used_once(engines: list[sa.Engine]) -> None:
    stores = [AccountsStore(engine) for engine in engines]
    link = new_link("u1", "reset_password", "u1@example.com", NOW, 1000)
    stores[0].add(user(1))
    assert stores[0].request("u1", link)
    found = at_once(stores, lambda store, number: store.reset(link, f"hash {number}", None, NOW + 1))
    assert kinds(found) == {"None": 1, LinkUsed.__name__: WRITERS - 1}
    versions = [version for _, version in told(engines[0])]
    assert sorted(set(versions)) == [1, 2, 3]


def test_a_code_is_used_once(engines: list[sa.Engine]) -> None:
    AccountsStore(engines[0]).add(user(1))
    stores = [IdentitiesStore(engine) for engine in engines]
    stores[0].keep_code("c", "b", Code("u1", "google", False), NOW, NOW + 1000)
    found = at_once(stores, lambda store, _: store.use_code("c", "b", NOW))
    assert sorted(found, key=str) == [Code("u1", "google", False), *[None] * (WRITERS - 1)]


def test_the_last_way_in_stays(engines: list[sa.Engine]) -> None:
    stores = [IdentitiesStore(engine) for engine in engines]
    stores[0].register(user(1, hashed=""), "google", "1", None)
    stores[0].link("u1", "github", "1", NOW)
    found = at_once(stores[:2], lambda store, number: store.unlink("u1", ("google", "github")[number], NOW))
    assert kinds(found) == {"True": 1, LastWayIn.__name__: 1}


def test_every_failed_attempt_counts(engines: list[sa.Engine]) -> None:
    stores = [AttemptsStore(engine) for engine in engines]
    attempt = Attempt("ada", (("network", PAIR),))
    counted = at_once(stores, lambda store, _: store.begin(attempt, NOW))
    assert counted == [0] * WRITERS
    assert PAIR.free + 1 == WRITERS
    assert stores[0].begin(attempt, NOW) == 1000


async def test_an_address_book_does_not_overflow(engines: list[sa.Engine]) -> None:
    AccountsStore(engines[0]).add(user(1))
    books = [AddressBook(engine) for engine in engines]
    address = NewAddress(name="Ada", line1="1 Square", city="London", postal_code="SW1", country="GB")
    for _ in range(MOST - 2):
        await books[0].add("u1", address)
    found = await asyncio.gather(*[book.add("u1", address) for book in books], return_exceptions=True)
    assert len([one for one in found if isinstance(one, Problem)]) == WRITERS - 2
    kept = await books[0].all_of("u1")
    assert len(kept) == MOST
    assert sum(one.default_shipping for one in kept) == 1


def test_whoever_reads_behind_a_position_misses_nothing(engines: list[sa.Engine]) -> None:
    for number in range(WRITERS):
        AccountsStore(engines[0]).add(user(number))
    log, seen, changes = OutboxLog(engines[0], outbox), [], 15
    done = threading.Event()

    def write(engine: sa.Engine, number: int) -> None:
        for turn in range(changes):
            with engine.execution_options(writes=True).begin() as connection:
                # One account of one's own, and one that all change.
                tell(connection, f"u{number}", UserProfileChanged(("name",), turn), at=turn)
                if turn % 3 == number % 3:
                    tell(connection, "u0" if number else "u1", UserProfileChanged(("phone",), turn), at=turn)

    def read() -> None:
        position = 0
        while True:
            ended = done.is_set()
            found = log._read(position, 1000)
            seen.extend(found)
            position = found[-1].position if found else position
            if ended and not found:
                return

    reader = threading.Thread(target=read)
    reader.start()
    outcomes = at_once(engines[1:], lambda engine, number: _retried(lambda: write(engine, number + 1)))
    done.set()
    reader.join(30)
    assert kinds(outcomes) == {"None": WRITERS - 1}
    assert [(one.entity, one.version) for one in seen] == told(engines[0])
    for entity in {one.entity for one in seen}:
        versions = [one.version for one in seen if one.entity == entity]
        assert versions == list(range(1, len(versions) + 1))


def _retried(work: Callable[[], None]) -> None:
    retried(work, again=False, seconds=20)


def test_every_end_of_a_session_is_seen_in_order(engines: list[sa.Engine]) -> None:
    AccountsStore(engines[0]).add(user(1))
    stores = [SessionsStore(engine) for engine in engines]
    for number in range(WRITERS):
        session = Session(f"s{number}", "u1", b"x", 0, NOW, NOW, NOW + 1000)
        stores[0].open_session(session, Opening("password", True, "hash"))
    ended = at_once(stores, lambda store, number: store.end_session(f"s{number}", "log_out", NOW))
    assert sorted(str(one) for one in ended) == [f"['s{number}']" for number in range(WRITERS)]
    positions = [row[0] for row in stores[0].ended_after(0, NOW)]
    assert len(set(positions)) == WRITERS
    with engines[0].connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ended_sessions)) == WRITERS


def test_a_product_has_each_version_once(databases: Databases) -> None:
    stores = [CatalogStore(databases("catalog"), 1, NOW) for _ in range(3)]
    mug = ProductDraft(name="Mug", category="Mugs", price=100)
    made = at_once(stores, lambda store, _: store.put([("MUG", mug)], NOW)[0])
    assert sorted(one.created for one in made) == [False, False, True]
    found = at_once(stores, lambda store, number: store.patch("MUG", ProductChange(price=number + 1, version=1), NOW))
    assert kinds([type(one).__name__ for one in found]) == {CatalogRefused.__name__: 2, Saved.__name__: 1}
    cup = ProductDraft(name="Cup", category="Cups", price=1)
    made = at_once(stores, lambda store, number: store.put([(f"CUP-{number}", cup)], NOW)[0])
    assert sorted(one.product.slug for one in made) == ["cup", "cup-2", "cup-3"]
    for store in stores:
        store.close()


def test_availability_goes_only_forward(databases: Databases) -> None:
    stores = [CatalogStore(databases("catalog"), 1, NOW) for _ in range(3)]
    stores[0].put([("MUG", ProductDraft(name="Mug", category="Mugs", price=100))], NOW)

    def note(store: CatalogStore, number: int) -> None:
        for version in range(number, 30, 3):
            store.note_availability([("MUG", version, version)])

    assert kinds(at_once(stores, note)) == {"None": 3}
    whole = stores[0].by_sku("MUG")
    assert whole is not None
    assert whole.product.variants[0].available == 29
    for store in stores:
        store.close()


async def test_an_event_makes_one_transaction_row(databases: Databases) -> None:
    stores = [TransactionStore(databases("payments")) for _ in range(3)]
    happened: list[Event] = [
        payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1"),
        payment.AttemptStarted(1, "card", "pm_1"),
    ]
    for session in ("s1", "s2", "s3"):
        for index, event in enumerate(happened):
            one = Happened(1, "payment", session, 1, index, 1, encode(event))
            await asyncio.gather(*[store.keep(one, event) for store in stores])
    assert [(row.session, row.kind) for row in await stores[0].page(limit=10)] == [
        ("s1", "attempt"),
        ("s2", "attempt"),
        ("s3", "attempt"),
    ]
    for store in stores:
        await store.close()


async def test_the_list_of_orders_keeps_the_newest(databases: Databases) -> None:
    stores = [OrderStore(databases("orders")) for _ in range(3)]

    async def note(store: OrderStore, first: int) -> None:
        for version in range(first, 31, 3):
            notes = [OrderNote(f"o{n}", "user:ada", 1, f"at {version}", 5, "EUR", version) for n in (1, 2)]
            await store.note_orders(notes)

    await asyncio.gather(*[note(store, first) for first, store in enumerate(stores, 1)])
    assert [(row.id, row.status) for row in await stores[0].page(owner="user:ada", after=None, limit=9)] == [
        ("o2", "at 30"),
        ("o1", "at 30"),
    ]
    for store in stores:
        await store.close()


async def test_one_sender_gets_a_mail(databases: Databases) -> None:
    stores = [NotificationStore(databases("notifications")) for _ in range(WRITERS)]
    mail = NewMail("m1", "order/o1/1/0", "receipt", "o1", "user:ada")
    begun = await asyncio.gather(*[store.mails.begin(mail, f"me-{n}", NOW, NOW + 9) for n, store in enumerate(stores)])
    assert sorted(one.state for one in begun) == [*["busy"] * (WRITERS - 1), "go"]
    begun = await asyncio.gather(
        *[store.mails.begin(mail, f"me-{n}", NOW + 9, NOW + 20) for n, store in enumerate(stores)]
    )
    assert sorted(one.state for one in begun) == ["again", *["busy"] * (WRITERS - 1)]
    assert {one.created_at for one in begun if one.state == "again"} == {NOW}
    for store in stores:
        await store.close()


async def test_nothing_is_left_for_a_person_who_is_erased_meanwhile(databases: Databases) -> None:
    stores = [NotificationStore(databases("notifications")) for _ in range(WRITERS)]

    async def tell_all(store: NotificationStore, number: int) -> None:
        for turn in range(10):
            notice = NewNotice(f"{number}-{turn}", "user:ada", "x", "o1", "EUR", "{}", NOW)
            await store.add_notice(notice, optional=False)
            await store.turn_off("user:ada", {("x", f"c{number}")})

    async def erase() -> None:
        while not await stores[0].last_place():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await stores[0].erase_owner("user:ada", NOW)

    await asyncio.gather(erase(), *[tell_all(store, number) for number, store in enumerate(stores[1:])])
    assert await stores[0].notices("user:ada", limit=100) == ([], 0)
    assert await stores[0].turned_off("user:ada") == set()
    for store in stores:
        await store.close()


@pytest.fixture
def counters(databases: Databases) -> Iterator[sa.Engine]:
    """Two rows."""
    engine = open_mysql(databases("flows"), 4)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE counters (name VARCHAR(10) PRIMARY KEY, number INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO counters VALUES ('a', 0), ('b', 0)")
    yield engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE counters")
    engine.dispose()


def numbers(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT number FROM counters ORDER BY name").scalars())


def count_up(connection: sa.Connection, name: str) -> None:
    connection.exec_driver_sql("UPDATE counters SET number = number + 1 WHERE name = %s", (name,))


@pytest.mark.parametrize("databases", ON_SERVERS, indirect=True)
def test_whoever_loses_a_deadlock_tries_again(counters: sa.Engine) -> None:
    both, turns = threading.Barrier(2), {"ab": 0, "ba": 0}

    def cross(names: str) -> None:
        turns[names] += 1
        with counters.begin() as connection:
            count_up(connection, names[0])
            if turns[names] == 1:
                both.wait(10)
            count_up(connection, names[1])

    outcomes = at_once(list(turns), lambda names, _: _retried(lambda: cross(names)))
    assert kinds(outcomes) == {"None": 2}
    assert numbers(counters) == [2, 2]
    assert sum(turns.values()) == 3


def lose_commits(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, times: int, *, after: bool) -> None:
    """The connection ends `after` or before the server has committed."""
    left, commit = [times], engine.dialect.do_commit

    def do_commit(connection: Any) -> None:
        if left[0] == 0:
            return commit(connection)
        left[0] -= 1
        if after:
            commit(connection)
        connection.dbapi_connection.close()
        raise pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(engine.dialect, "do_commit", do_commit)


@pytest.mark.parametrize("databases", ON_SERVERS, indirect=True)
@pytest.mark.parametrize("after", [True, False])
async def test_an_unknown_outcome_is_found_out_or_said(
    counters: sa.Engine, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    shared = SharedTransactions(counters, "test")
    lose_commits(counters, monkeypatch, 1, after=after)
    set_one = "UPDATE counters SET number = 1 WHERE name = 'b'"
    outcomes = await asyncio.gather(
        shared.run(lambda c: count_up(c, "a"), again=False),
        shared.run(lambda c: c.exec_driver_sql(set_one).rowcount),
        return_exceptions=True,
    )
    # The first was alone in its transaction: the second came while it ran.
    assert [type(outcomes[0]), outcomes[1]] == [OutcomeUnknown, 1]
    assert numbers(counters) == [int(after), 1]
    lose_commits(counters, monkeypatch, 1, after=after)
    assert await shared.run(lambda c: c.exec_driver_sql(set_one).rowcount) == 1  # found, although it is the same
    await shared.close()


@pytest.mark.parametrize("databases", ON_SERVERS, indirect=True)
def test_a_statement_that_is_cut_off_was_not_done_and_is_done_again(counters: sa.Engine) -> None:
    tries = []

    def work() -> None:
        with counters.begin() as connection:
            count_up(connection, "a")
            tries.append(connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar())
            if len(tries) == 1:
                with counters.begin() as other:
                    other.exec_driver_sql(f"KILL {tries[0]}")
            count_up(connection, "b")

    retried(work, again=False)
    assert (len(tries), numbers(counters)) == (2, [1, 1])


@pytest.mark.parametrize("databases", ON_SERVERS, indirect=True)
def test_errors_say_nothing_of_people(engines: list[sa.Engine]) -> None:
    store = AccountsStore(engines[0])
    store.add(user(1, "ada@example.com"))
    with pytest.raises(EmailTaken) as taken:
        store.add(user(2, "ada@example.com"))
    error = taken.value.__cause__
    assert isinstance(error, sa.exc.IntegrityError)
    said = f"{error} {error!r} {error.orig} {error.orig!r} {error.args}"
    assert "ada@" not in said
    assert "email" in said
    with pytest.raises(sa.exc.DataError) as long:
        store.add(msgspec.structs.replace(user(3), language="ada@example.com"))
    assert "ada@" not in f"{long.value} {long.value.orig!r}"
