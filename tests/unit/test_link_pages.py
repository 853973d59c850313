"""Mailed links lead to pages, and the pages do what the link is for once a button is pressed."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from pipelines.events.users import EmailConfirmationRequested, PasswordResetRequested
from pipelines.log.outbox import OutboxLog
from pipelines.notify_users import Person
from pipelines.wanted import Types
from serve.gateway.passwords import Passwords
from serve.users.accounts import Accounts
from serve.users.link_pages import link_pages
from serve.users.links import LinksStore
from serve.users.mailed import MailedPeople
from serve.users.schemas import Registration
from serve.users.store import open_engine
from serve.users.tables import outbox, users
from tests.databases import Databases

REQUESTS = Types({"user": (EmailConfirmationRequested, PasswordResetRequested)})
URL = "http://shop.example"


@pytest.fixture
def engine(databases: Databases) -> Iterator[sa.Engine]:
    made = open_engine(databases("users"))
    yield made
    made.dispose()


@pytest.fixture
def accounts(engine: sa.Engine) -> Accounts:
    return Accounts(engine, Passwords(memory_kib=64, time_cost=1))


@pytest.fixture
async def browser(engine: sa.Engine, accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(link_pages(accounts, LinksStore(engine)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        yield client


async def mailed(engine: sa.Engine) -> str:
    """The address in the newest mail."""
    found = [event for one in await OutboxLog(engine, outbox).read(0, 100) if (event := REQUESTS.decode(one))]
    link = await MailedPeople(engine, f"{URL}/").link(found[-1].request)
    assert link is not None
    assert (link.to, link.name) == ("ada@example.com", "Ada")
    return link.url


async def register(accounts: Accounts) -> str:
    wanted = Registration(email="ada@example.com", password="three wet umbrellas", name="Ada")
    return (await accounts.register(wanted)).id


async def test_an_address_is_confirmed_by_a_button_and_not_by_looking(
    engine: sa.Engine, accounts: Accounts, browser: httpx.AsyncClient
) -> None:
    user = await register(accounts)
    people = MailedPeople(engine, URL)
    assert await people.person(user) == Person("ada@example.com", "Ada", "en")
    assert await people.person("nobody") is None
    url = await mailed(engine)
    for _ in range(2):
        shown = await browser.get(url)
        assert (shown.status_code, '<button type="submit">Confirm</button>' in shown.text) == (200, True)
        assert 'autocomplete="current-password"' in shown.text
        assert shown.headers["cache-control"] == "no-store"
    assert not (await accounts.profile(user)).email_confirmed
    for sent, status in (({}, 403), ({"password": "not hers at all"}, 403)):
        refused = await browser.post(url, data=sent)
        assert (refused.status_code, 'role="alert"' in refused.text) == (status, True)
    assert not (await accounts.profile(user)).email_confirmed
    done = await browser.post(url, data={"password": "three wet umbrellas"})
    assert (done.status_code, "Your address is confirmed" in done.text) == (200, True)
    assert (await accounts.profile(user)).email_confirmed
    assert (await browser.post(url)).status_code == 410


async def test_an_account_without_a_password_is_confirmed_where_it_is_logged_in(
    engine: sa.Engine, accounts: Accounts, browser: httpx.AsyncClient
) -> None:
    await register(accounts)
    with engine.begin() as connection:
        connection.execute(sa.update(users).values(password=""))
    shown = await browser.get(await mailed(engine))
    assert (shown.status_code, "Log in to it in the shop" in shown.text, "<form" in shown.text) == (200, True, False)


async def test_a_password_is_set_and_a_weak_one_is_asked_for_again(
    engine: sa.Engine, accounts: Accounts, browser: httpx.AsyncClient
) -> None:
    await register(accounts)
    await accounts.ask_for_reset("ada@example.com")
    url = await mailed(engine)
    shown = await browser.get(url)
    assert 'type="password"' in shown.text
    # Nothing on the page can keep a password from being pasted, or filled in by whatever keeps it.
    assert "script" not in shown.text
    assert shown.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    weak = await browser.post(url, data={"password": "password"})
    assert (weak.status_code, 'role="alert"' in weak.text, 'type="password"' in weak.text) == (422, True, True)
    done = await browser.post(url, data={"password": "four dry umbrellas & more"})
    assert (done.status_code, "Your password is set" in done.text) == (200, True)
    assert (await browser.post(url, data={"password": "five dry umbrellas"})).status_code == 410


@pytest.mark.parametrize("token", ["x", "a.b", "0" * 64 + ".f00", "%3Cscript%3E"])
async def test_what_is_no_link_is_a_page_that_says_so(browser: httpx.AsyncClient, token: str) -> None:
    for answer in (await browser.get(f"/api/users/links/{token}"), await browser.post(f"/api/users/links/{token}")):
        assert (answer.status_code, "No such link" in answer.text) == (404, True)
        assert "<script>" not in answer.text
