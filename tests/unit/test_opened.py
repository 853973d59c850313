"""What a process opened is closed, whatever fails: one that closes, or a start half-way."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.journal.sql import SqlJournal
from pipelines.log.sql import JournalLog
from pipelines.progress import SqlProgress
from pipelines.projection import ProjectionRunner
from pipelines.runner import FlowRunner
from pipelines.shared_log import SharedLog
from serve import settings as settings_module
from serve.catalog.prices import Prices
from serve.catalog.search.indexing import Indexing
from serve.catalog.service import Catalog
from serve.changes.store import ChangeStore
from serve.composing import Shop, front_of
from serve.hosting import Flows, ShopHost
from serve.journals import Journals
from serve.lacking import NoEntities, no_gateway
from serve.later import LaterFlows
from serve.mailing import Mailing
from serve.notifications.mailer import FolderMailer
from serve.notifications.notices import Notices
from serve.notifications.store import NotificationStore
from serve.opened import Opened
from serve.orders.store import OrderStore
from serve.payments.gateway.client import GatewayClient
from serve.payments.transactions import TransactionStore
from serve.settings import Settings
from serve.users.activity import Activity
from serve.users.ended_sessions import PolledEndedSessions

Closed = list[str]
MAILING = {
    "OrderStore.close": 1,
    "NotificationStore.close": 1,
    "FolderMailer.close": 1,
    # The index of products keeps its own.
    "SqlProgress.close": 2,
    "SharedLog.close": 3,
    "FlowRunner.stop": 7,
    "LaterFlows.stop": 1,
    "TransactionStore.close": 1,
    "Activity.close": 1,
    "Indexing.stop": 1,
    "ProjectionRunner.stop": 1,
}
FLOWS = {
    "SqlProgress.close": 1,
    "Catalog.close": 1,
    "OrderStore.close": 1,
    "SharedLog.close": 1,
    "FlowRunner.stop": 2,
    "ProjectionRunner.stop": 3,
}
SHOP = {
    "GatewayClient.close": 1,
    "PolledEndedSessions.stop": 1,
    "Catalog.close": 1,
    "Prices.close": 1,
    "OrderStore.close": 1,
    "TransactionStore.close": 1,
    "Notices.close": 1,
    "NotificationStore.close": 1,
    "ChangeStore.close": 1,
}
CLASSES: tuple[type[Any], ...] = (
    *(Activity, Catalog, ChangeStore, FlowRunner, FolderMailer, GatewayClient, Indexing, LaterFlows, Notices),
    *(NotificationStore, OrderStore, PolledEndedSessions, Prices, ProjectionRunner, SharedLog, SqlProgress),
    TransactionStore,
)


class Broken(Exception):
    pass


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load(data_dir=tmp_path)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Closed:
    """The names of what was closed, in order."""
    names: Closed = []
    for one in CLASSES:
        for verb in ("close", "stop"):
            if verb in vars(one):
                monkeypatch.setattr(one, verb, noting(vars(one)[verb], f"{one.__name__}.{verb}", names))
    return names


def noting(inner: Callable[[Any], Awaitable[None]], name: str, names: Closed) -> Callable[[Any], Awaitable[None]]:
    async def outer(self: Any) -> None:
        names.append(name)
        await inner(self)

    return outer


def break_(monkeypatch: pytest.MonkeyPatch, one: type[Any], verb: str, calls: int = 1) -> None:
    """From its `calls`-th call on, what it does is done and then an error is raised."""
    inner, left = getattr(one, verb), [calls]

    async def outer(self: Any, *given: Any) -> None:
        await inner(self, *given)
        left[0] -= 1
        if left[0] <= 0:
            raise Broken

    monkeypatch.setattr(one, verb, outer)


def counts(names: Closed) -> dict[str, int]:
    return {name: names.count(name) for name in names}


async def opened_mailing(settings: Settings, journal: SqlJournal) -> Mailing:
    made = Mailing(settings, journal)
    await made.start(NoEntities())
    return made


async def journal_of(settings: Settings) -> SqlJournal:
    journal = SqlJournal(str(settings.database("journal")))
    await journal.setup()
    return journal


async def test_what_was_opened_last_is_closed_first(closed: Closed, settings: Settings) -> None:
    async with Opened() as opened:
        opened.closing(OrderStore(settings.database_url("orders")))
        opened.closing(SqlProgress(settings.database_url("flows")))
        kept = opened.pop_all()
    assert closed == []
    await kept.aclose()
    assert closed == ["SqlProgress.close", "OrderStore.close"]


@pytest.mark.parametrize(
    ("one", "verb"), [(FlowRunner, "stop"), (ProjectionRunner, "stop"), (SharedLog, "close"), (OrderStore, "close")]
)
async def test_the_flows_close_all(
    closed: Closed, settings: Settings, monkeypatch: pytest.MonkeyPatch, one: type[Any], verb: str
) -> None:
    break_(monkeypatch, one, verb)
    journal = await journal_of(settings)
    gateway = no_gateway()
    host = ShopHost(settings, Journals(journal, ()), gateway, flows=True)
    await host.start(NoEntities(), lambda: True)
    with pytest.raises(Broken):
        await host.stop()
    assert counts(closed) == FLOWS | {"GatewayClient.close": 1}
    assert closed[0] == "ProjectionRunner.stop"
    await journal.close()


async def test_flows_that_cannot_start_leave_nothing_open(
    closed: Closed, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_(monkeypatch, ProjectionRunner, "start", 2)
    journal = await journal_of(settings)
    with pytest.raises(Broken):
        await Flows(settings).start(NoEntities(), JournalLog(journal))
    assert counts(closed) == FLOWS | {"ProjectionRunner.stop": 1}
    await journal.close()


@pytest.mark.parametrize(
    ("one", "verb"), [(FlowRunner, "stop"), (Activity, "close"), (ProjectionRunner, "stop"), (SqlProgress, "close")]
)
async def test_the_mailing_closes_all(
    closed: Closed, settings: Settings, monkeypatch: pytest.MonkeyPatch, one: type[Any], verb: str
) -> None:
    break_(monkeypatch, one, verb)
    journal = await journal_of(settings)
    mailing = await opened_mailing(settings, journal)
    with pytest.raises(Broken):
        await mailing.stop()
    assert counts(closed) == MAILING
    await journal.close()


async def test_a_mailing_that_cannot_start_leaves_nothing_open(
    closed: Closed, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_(monkeypatch, Indexing, "start")
    journal = await journal_of(settings)
    with pytest.raises(Broken):
        await opened_mailing(settings, journal)
    # The broken start had begun what only its own stop could end.
    left = {"Indexing.stop", "ProjectionRunner.stop"}
    assert counts(closed) == {name: times for name, times in MAILING.items() if name not in left} | {
        "SqlProgress.close": 1,
        "SharedLog.close": 2,
    }
    await journal.close()


@pytest.mark.parametrize(("one", "verb"), [(ChangeStore, "close"), (Prices, "close"), (PolledEndedSessions, "stop")])
async def test_the_services_close_all(
    closed: Closed, settings: Settings, monkeypatch: pytest.MonkeyPatch, one: type[Any], verb: str
) -> None:
    break_(monkeypatch, one, verb)
    shop = Shop(settings)
    made = (shop.changes, shop.notices, shop.transactions, shop.orders_store, shop.prices)
    with pytest.raises(Broken):
        await shop.close()
    assert len(made) == 5
    assert counts(closed) == SHOP
    assert closed.index("Prices.close") < closed.index("Catalog.close")


async def test_an_application_that_cannot_start_closes_its_shop(closed: Closed, settings: Settings) -> None:
    async def start() -> None:
        raise Broken

    async def stop() -> None:
        closed.append("stop")
        raise Broken

    front = front_of(Shop(settings), start, stop)
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(Broken):
        await front({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.failed"]
    assert closed[0] == "stop"
    assert closed.count("GatewayClient.close") == closed.count("PolledEndedSessions.stop") == 1
