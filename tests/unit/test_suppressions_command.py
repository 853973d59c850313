"""`troupe suppressions`: the real command and routes over a real database; only the network between them is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from serve.cli import access, suppressions
from serve.cli.main import app
from serve.gateway.front import Front
from serve.notifications.news_api import admin_suppression_routes
from serve.notifications.sendings import NewMail
from serve.notifications.store import NotificationStore
from serve.notifications.suppressed import digest
from serve.settings import Settings
from tests.unit.callers import PlainTokens, bearer

AT = 1_764_000_000_000
GONE, GLAD, ODD = (digest(f"{name}@example.com") for name in ("gone", "glad", "odd"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three addresses that are off, the newest of which came back from a mail that is known."""

    async def fill() -> None:
        store = NotificationStore(f"sqlite:///{tmp_path / 'notifications.db'}")
        await store.mails.begin(NewMail("m3", "order/o1/6/0", "receipt", "o1", "user:ada"), "me", 1, 2)
        await store.suppressed.add("n1", ["odd@example.com"], "bounce", "", AT)
        await store.suppressed.add("n2", ["glad@example.com"], "complaint", "", AT + 1_000)
        await store.suppressed.add("n3", ["gone@example.com"], "bounce", "m3", AT + 2_000)
        await store.close()

    asyncio.run(fill())
    return tmp_path


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop runs on the folder."""

    @asynccontextmanager
    async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
        store = NotificationStore(settings.database_url("notifications"))
        front = Front(FastAPI(), [admin_suppression_routes(store.suppressed)], tokens=PlainTokens())
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=bearer("staff:eve")) as made:
            yield made
        await store.close()

    monkeypatch.setattr(access, "client", client)
    monkeypatch.setattr(access, "needs_running", lambda _: None)
    return folder


def call(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["suppressions", *words, "--data", str(folder)])


def test_they_are_listed_page_after_page_without_addresses(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "PAGE", 2)
    told = call(opened, "list")
    assert (told.exit_code, told.stdout.splitlines()) == (
        0,
        [
            f"{GONE} bounce, since 2025-11-24 16:00:02Z, user:ada, order o1",
            f"{GLAD} complaint, since 2025-11-24 16:00:01Z, nobody known",
            f"{ODD} bounce, since 2025-11-24 16:00:00Z, nobody known",
        ],
    )
    assert call(opened).stdout == told.stdout


def test_one_is_lifted_by_its_address_or_its_id(opened: Path) -> None:
    lifted = "It is written to again. The list that Amazon SES keeps by itself may have it, too.\n"
    for name in ("Gone@example.com", GLAD, ODD):
        told = call(opened, "lift", name)
        assert (told.exit_code, told.stdout) == (0, lifted)
    again = call(opened, "lift", "gone@example.com")
    assert (again.exit_code, again.stderr) == (1, "This address is not in the list.\n")
    assert call(opened, "list").stdout == "Every address is written to.\n"


def test_what_the_shop_refuses_and_that_it_is_away_is_said(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = call(opened, "lift", "a" * 400)
    assert refused.exit_code == 1
    assert "/body/address" in refused.stderr
    monkeypatch.setattr(access, "client", _nobody)
    away = call(opened, "list")
    assert (away.exit_code, away.stderr) == (1, "The shop does not answer: ConnectError.\n")


def test_it_needs_a_running_shop(folder: Path) -> None:
    closed = call(folder, "list")
    assert closed.exit_code == 1
    assert "No shop runs on" in closed.stderr


@asynccontextmanager
async def _nobody(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    async with httpx.AsyncClient(transport=httpx.MockTransport(away), base_url="http://shop") as made:
        yield made
