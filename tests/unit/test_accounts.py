"""Accounts over HTTP: the mailed links, the profile, the address book, export, deletion, and what others are told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from pipelines.events import users as events
from pipelines.log.outbox import OutboxLog
from pipelines.progress import SqlProgress
from pipelines.runner import FlowRunner
from pipelines.show_activity import show_activity
from serve.gateway.front import Front, Limits
from serve.gateway.keys import Keys
from serve.gateway.passwords import Passwords
from serve.gateway.rate_limits import InProcessLimits
from serve.gateway.tokens import Tokens
from serve.users.accounts import RECENT, Accounts
from serve.users.api import STRICT_LIMITS, router
from serve.users.links import MAIL_EVERY, new_link
from serve.users.sessions import Sessions
from serve.users.store import open_engine
from serve.users.tables import folded, identities, outbox, sessions, users
from tests.databases import Databases
from tests.unit.flow_world import DEADLINE

ADA = {"email": "Ada@Example.com", "password": "three wet umbrellas", "name": "Ada Byron"}
LOG_IN = {"email": "ada@example.com", "password": "three wet umbrellas"}
KNOWN = {"password": "three wet umbrellas"}
SQUARE = {
    "name": "Ada Byron",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
HOUR = 3_600_000


class Time:
    def __init__(self) -> None:
        self.now = 1_764_000_000_000

    def __call__(self) -> int:
        return self.now


class CountedPasswords(Passwords):
    """Counts what costs."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, time_cost=1)
        self.worked = 0

    async def _run(self, work: Any) -> Any:
        self.worked += 1
        return await super()._run(work)


@dataclass
class Shop:
    accounts: Accounts
    front: Front
    time: Time
    engine: sa.Engine
    passwords: CountedPasswords
    folder: Path

    async def told(self) -> list[events.Event]:
        """Everything that others were told, in order."""
        found = await OutboxLog(self.engine, outbox).read(0, 1000)
        return [msgspec.msgpack.decode(one.event, type=events.Event) for one in found]

    async def token(self) -> str:
        """Of the last link that was asked for, as whoever mails it gets it."""
        requests = [event.request for event in await self.told() if hasattr(event, "request")]
        link = await self.accounts.link(requests[-1])
        assert link is not None
        return link.token


@pytest.fixture
def shop(databases: Databases, tmp_path: Path) -> Iterator[Shop]:
    time, passwords = Time(), CountedPasswords()
    engine = open_engine(databases("users"))
    keys = Keys(engine, time)
    tokens = Tokens(keys, now=time)

    async def orders(user_id: str) -> list[str]:
        return [f"order of {user_id}"]

    limits = InProcessLimits(now=lambda: time.now / 1000)
    accounts = Accounts(engine, passwords, now=time, limits=limits, others={"orders": orders})
    sessions = Sessions(engine, tokens, passwords, now=time)
    app = FastAPI()
    app.include_router(router(accounts, sessions, keys))
    front = Front(app, tokens=tokens, limits=Limits(limits, strict=STRICT_LIMITS))
    yield Shop(accounts, front, time, engine, passwords, tmp_path)
    passwords.close()
    engine.dispose()


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(shop.front, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as made:
        yield made


async def logged_in(http: httpx.AsyncClient, **changed: str) -> dict[str, str]:
    """The headers of somebody who has registered and logged in."""
    person = {**ADA, **changed}
    await http.post("/api/users", json=person)
    log_in = {"email": person["email"], "password": person["password"]}
    session = (await http.post("/api/users/sessions", json=log_in)).json()
    return {"Authorization": f"Bearer {session['access_token']}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_an_address_is_confirmed_by_the_mailed_link(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    told = await shop.told()
    requested = told[1]
    assert told[0] == events.UserRegistered("email", False, shop.time.now)
    assert isinstance(requested, events.EmailConfirmationRequested)
    link = await shop.accounts.link(requested.request)
    assert link is not None
    assert link[:2] == ("confirm_email", link.token)
    assert (link.email, link.name, link.language) == ("ada@example.com", "Ada Byron", "en")
    user = (await http.get("/api/users/me", headers=ada)).json()
    assert user["email_confirmed"] is False
    assert await shop.accounts.confirmed_by_email("Ada@Example.com") is None
    for forged in (requested.request, f"{requested.request}.{'0' * 64}", "x", "é.é"):
        answer = await http.post(f"/api/users/email-confirmations/{forged}")
        assert code(answer) == (410, "link_unusable")
    key = {"Idempotency-Key": "k"}
    opened = await http.post(f"/api/users/email-confirmations/{link.token}", json=KNOWN, headers=key)
    again = await http.post(f"/api/users/email-confirmations/{link.token}", json=KNOWN, headers=key)
    other = await http.post(f"/api/users/email-confirmations/{link.token}", json=KNOWN)
    assert (opened.status_code, again.status_code, code(other)) == (204, 204, (410, "link_unusable"))
    assert (await http.get("/api/users/me", headers=ada)).json()["email_confirmed"] is True
    assert await shop.accounts.confirmed_by_email("Ada@Example.com") == user["id"]
    assert (await shop.told())[-1] == events.EmailConfirmed(shop.time.now)
    assert await shop.accounts.link(requested.request) is None


async def test_a_link_confirms_only_for_who_knows_the_account(http: httpx.AsyncClient, shop: Shop) -> None:
    """Whoever made the account need not be the mailbox's owner: one who follows a link must not give them theirs."""
    ada = await logged_in(http)
    token = await shop.token()
    eve = await logged_in(http, email="eve@example.com", name="Eve")
    url, wrong = f"/api/users/email-confirmations/{token}", {"password": "two wet umbrellas"}
    for headers, body in (({}, None), (eve, None), ({}, {})):
        assert code(await http.post(url, headers=headers, json=body)) == (403, "password_needed")
    assert code(await http.post(url, json=wrong)) == (403, "wrong_credentials")
    assert code(await http.post(url, json=wrong, headers=ada)) == (403, "wrong_credentials")
    assert (await http.get("/api/users/me", headers=ada)).json()["email_confirmed"] is False
    # A session of the account itself is as good as its password.
    assert (await http.post(url, headers=ada)).status_code == 204
    assert (await http.get("/api/users/me", headers=ada)).json()["email_confirmed"] is True


async def test_a_link_is_not_good_for_guessing(http: httpx.AsyncClient, shop: Shop) -> None:
    await logged_in(http)
    url, key = f"/api/users/email-confirmations/{await shop.token()}", {"Idempotency-Key": "k"}
    guess = {"password": "a guess of mine"}
    answers = [await http.post(url, json=guess) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    shop.time.now += MAIL_EVERY
    assert (await http.post(url, json=KNOWN, headers=key)).status_code == 204
    assert code(await http.post(url, json=guess, headers=key)) == (403, "wrong_credentials")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ada@faß.example", "ada@faß.example"),
        ("Ada@FASS.example", "ada@fass.example"),
        ("straße@example.com", "straße@example.com"),
        ("ada@BÜCHER.example", "ada@bücher.example"),
        ("Ada@xn--bcher-kva.example", "ada@bücher.example"),
        ("ada@bu\u0308cher.example", "ada@bücher.example"),
        ("no address, Ü", "no address, ü"),
    ],
)
def test_an_address_is_one_in_every_spelling_and_never_anothers(typed: str, kept: str) -> None:
    assert folded(typed) == kept
    assert folded(kept) == kept


async def test_another_confirmation_can_be_asked_for(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    first = await shop.token()
    assert (await http.post("/api/users/email-confirmations", headers=ada)).status_code == 202
    assert await shop.token() == first
    shop.time.now += MAIL_EVERY
    assert (await http.post("/api/users/email-confirmations", headers=ada)).status_code == 202
    second = await shop.token()
    assert second != first
    assert (await http.post(f"/api/users/email-confirmations/{second}", json=KNOWN)).status_code == 204
    assert code(await http.post("/api/users/email-confirmations", headers=ada)) == (409, "already_confirmed")


def test_a_links_token_cannot_be_guessed_nor_worked_out() -> None:
    made = [new_link("ada", "reset_password", "ada@example.com", 1, 1000) for _ in range(3)]
    assert {(len(link.id), len(link.secret)) for link in made} == {(32, 32)}
    assert len({link.id for link in made}) == len({link.secret for link in made}) == 3
    # Who knows all of a row but its secret has nothing.
    assert msgspec.structs.replace(made[0], secret=made[1].secret).token != made[0].token


async def test_links_expire(http: httpx.AsyncClient, shop: Shop) -> None:
    await logged_in(http)
    await http.post("/api/users/password-resets", json={"email": "ada@example.com"})
    token = await shop.token()
    shop.time.now += HOUR
    late = await http.post(f"/api/users/password-resets/{token}", json={"password": "nine wet umbrellas"})
    assert code(late) == (410, "link_unusable")


async def test_a_password_is_reset_once_by_the_mailed_link_and_all_sessions_end(
    http: httpx.AsyncClient, shop: Shop
) -> None:
    await logged_in(http)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    asked = await http.post("/api/users/password-resets", json={"email": "ADA@example.com"})
    assert (asked.status_code, asked.content) == (202, b"")
    token = await shop.token()
    weak = await http.post(f"/api/users/password-resets/{token}", json={"password": "ada byron"})
    assert code(weak) == (422, "weak_password")
    new, key = {"password": "nine wet umbrellas"}, {"Idempotency-Key": "k"}
    assert (await http.post(f"/api/users/password-resets/{token}", json=new, headers=key)).status_code == 204
    assert (await http.post(f"/api/users/password-resets/{token}", json=new, headers=key)).status_code == 204
    other = await http.post(f"/api/users/password-resets/{token}", json=KNOWN, headers=key)
    assert code(other) == (422, "idempotency_key_reused")
    used = await http.post(f"/api/users/password-resets/{token}", json=new)
    assert code(used) == (410, "link_unusable")
    assert (await shop.told())[-1] == events.EmailConfirmed(shop.time.now)
    assert (await shop.told())[-2] == events.PasswordChanged(True, shop.time.now)
    refreshed = await http.post("/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]})
    assert code(refreshed) == (401, "invalid_token")
    assert code(await http.post("/api/users/sessions", json=LOG_IN)) == (401, "wrong_credentials")
    assert (await http.post("/api/users/sessions", json={**LOG_IN, **new})).status_code == 201


async def test_a_reset_leaves_nothing_of_who_used_the_address_before(http: httpx.AsyncClient, shop: Shop) -> None:
    """Until then nobody had shown that the address is theirs: what stands there may be a stranger's."""
    squatter = await logged_in(http, name="Sam Squatter")
    await http.patch("/api/users/me", json={"phone": "+44 20 7946 0123"}, headers=squatter)
    await http.post("/api/users/me/addresses", json=SQUARE, headers=squatter)
    with shop.engine.begin() as connection:
        user_id = connection.execute(sa.select(users.c.id)).scalar_one()
        linked = {"provider": "google", "subject": "sam", "user_id": user_id, "linked_at": 1}
        connection.execute(identities.insert().values(linked))
    told = len(await shop.told())
    await http.post("/api/users/password-resets", json={"email": "ada@example.com"})
    new = {"password": "nine wet umbrellas"}
    assert (await http.post(f"/api/users/password-resets/{await shop.token()}", json=new)).status_code == 204
    now = shop.time.now
    assert (await shop.told())[told + 1 :] == [
        events.UserProfileChanged(("addresses", "identities", "name", "phone"), now),
        events.PasswordChanged(True, now),
        events.EmailConfirmed(now),
    ]
    ada = await logged_in(http, **new)
    export = (await http.get("/api/users/me/export", headers=ada)).json()
    assert (export["profile"]["name"], export["profile"]["phone"], export["addresses"]) == ("", None, [])
    with shop.engine.connect() as connection:
        assert connection.execute(sa.select(identities)).all() == []
        assert len(connection.execute(sa.select(sessions)).all()) == 1
    # What its owner has put there since stays.
    await http.patch("/api/users/me", json={"name": "Ada Byron"}, headers=ada)
    await http.post("/api/users/me/addresses", json=SQUARE, headers=ada)
    shop.time.now += MAIL_EVERY
    await http.post("/api/users/password-resets", json={"email": "ada@example.com"})
    newer = {"password": "eleven wet umbrellas"}
    assert (await http.post(f"/api/users/password-resets/{await shop.token()}", json=newer)).status_code == 204
    ada = await logged_in(http, **newer)
    export = (await http.get("/api/users/me/export", headers=ada)).json()
    assert (export["profile"]["name"], len(export["addresses"])) == ("Ada Byron", 1)


async def test_a_link_for_one_thing_is_not_good_for_another(http: httpx.AsyncClient, shop: Shop) -> None:
    await logged_in(http)
    confirmation = await shop.token()
    wrong = await http.post(f"/api/users/password-resets/{confirmation}", json={"password": "nine wet umbrellas"})
    assert code(wrong) == (410, "link_unusable")


def statements(engine: sa.Engine) -> list[str]:
    """What is said to the database from now on: the first two words of each statement that is no look-up."""
    said: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(" ".join(statement.split()[:2]))

    return said


async def test_whether_an_address_has_an_account_takes_the_same_work(http: httpx.AsyncClient, shop: Shop) -> None:
    await logged_in(http)
    said = statements(shop.engine)

    async def cost(path: str, body: dict[str, str]) -> tuple[int, int, list[str]]:
        before = shop.passwords.worked
        said.clear()
        answer = await http.post(path, json=body)
        writes = sorted(one.split()[0] for one in said if not one.startswith(("SELECT", "BEGIN")))
        return answer.status_code, shop.passwords.worked - before, writes

    known = await cost("/api/users/password-resets", {"email": "ada@example.com"})
    unknown = await cost("/api/users/password-resets", {"email": "eve@example.com"})
    lately = await cost("/api/users/password-resets", {"email": "ada@example.com"})
    assert (known[:2], unknown[:2], lately[:2]) == ((202, 0),) * 3
    assert [one for one in unknown[2] if one != "DELETE"] == [one for one in known[2] if one != "DELETE"]
    assert unknown[2] == lately[2]
    wrong = {"password": "two wet umbrellas"}
    log_ins = [
        (await cost("/api/users/sessions", {"email": email, **wrong}))[:2]
        for email in ("ada@example.com", "eve@example.com")
    ]
    assert log_ins == [(401, 1), (401, 1)]
    taken = await cost("/api/users", ADA)
    free = await cost("/api/users", {**ADA, "email": "eve@example.com"})
    assert (taken[:2], free[:2]) == ((409, 1), (201, 1))


async def test_the_profile_changes_and_others_are_told_which_fields(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    answer = await http.patch("/api/users/me", json={"phone": "+44 20 7946 0123", "language": "de"}, headers=ada)
    assert (answer.status_code, answer.json()["phone"], answer.json()["language"]) == (200, "+44 20 7946 0123", "de")
    assert (await shop.told())[-1] == events.UserProfileChanged(("language", "phone"), shop.time.now)
    removed = await http.patch("/api/users/me", json={"phone": None, "name": None}, headers=ada)
    assert (removed.json()["phone"], removed.json()["name"]) == (None, "Ada Byron")
    count = len(await shop.told())
    await http.patch("/api/users/me", json={"language": "de"}, headers=ada)
    assert len(await shop.told()) == count
    bad = await http.patch("/api/users/me", json={"phone": "call me"}, headers=ada)
    assert bad.status_code == 422
    new = {"password": "nine wet umbrellas", "current_password": ADA["password"]}
    assert (await http.patch("/api/users/me", json=new, headers=ada)).status_code == 200
    assert (await shop.told())[-1] == events.PasswordChanged(False, shop.time.now)


async def test_an_email_address_changes_once_the_new_one_is_confirmed(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    first = await shop.token()
    wanted = {"email": "ada@newmail.example", "password": "wrong"}
    assert code(await http.patch("/api/users/me/email", json=wanted, headers=ada)) == (403, "wrong_credentials")
    wanted["password"] = ADA["password"]
    assert (await http.patch("/api/users/me/email", json=wanted, headers=ada)).status_code == 202
    assert (await http.get("/api/users/me", headers=ada)).json()["email"] == "ada@example.com"
    token = await shop.token()
    assert (await http.post(f"/api/users/email-confirmations/{token}", json=KNOWN)).status_code == 204
    user = (await http.get("/api/users/me", headers=ada)).json()
    assert (user["email"], user["email_confirmed"]) == ("ada@newmail.example", True)
    confirmed, changed = (await shop.told())[-2:]
    assert confirmed == events.EmailConfirmed(shop.time.now)
    assert isinstance(changed, events.EmailChanged)
    old = await shop.accounts.link(changed.request)
    assert old is not None
    assert (old.purpose, old.email, old.token) == ("email_changed", "ada@example.com", "")
    await shop.accounts.told(changed.request)
    assert await shop.accounts.link(changed.request) is None
    # The link to the address of before does not bring it back.
    assert code(await http.post(f"/api/users/email-confirmations/{first}", json=KNOWN)) == (410, "link_unusable")


async def test_the_mail_to_a_new_address_is_not_sent_twice_a_minute(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    wanted = {"email": "ada@newmail.example", "password": ADA["password"]}

    async def requests() -> int:
        return sum(isinstance(event, events.EmailConfirmationRequested) for event in await shop.told())

    before = await requests()
    for _ in range(2):
        assert (await http.patch("/api/users/me/email", json=wanted, headers=ada)).status_code == 202
    bobs = {**wanted, "email": "bob@newmail.example"}
    shop.time.now += 20_000
    refused = await http.patch("/api/users/me/email", json=bobs, headers=ada)
    assert (code(refused), refused.headers["retry-after"]) == ((429, "rate_limited"), "40")
    assert await requests() == before + 1
    link = await shop.accounts.link((await shop.told())[-1].request)  # type: ignore[union-attr]
    assert link is not None
    assert link.email == "ada@newmail.example"
    # What makes the link useless makes no room for another mail.
    new = {"password": "nine wet umbrellas", "current_password": ADA["password"]}
    await http.patch("/api/users/me", json=new, headers=ada)
    assert await shop.accounts.link((await shop.told())[-2].request) is None  # type: ignore[union-attr]
    bobs["password"] = new["password"]
    assert (await http.patch("/api/users/me/email", json=bobs, headers=ada)).status_code == 429
    shop.time.now += MAIL_EVERY
    assert (await http.patch("/api/users/me/email", json=bobs, headers=ada)).status_code == 202
    assert await requests() == before + 2


async def test_an_address_that_is_somebody_elses_is_not_had(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    wanted = {"email": "eve@example.com", "password": ADA["password"]}
    await http.patch("/api/users/me/email", json=wanted, headers=ada)
    token = await shop.token()
    shop.time.now += MAIL_EVERY
    await http.patch("/api/users/me/email", json={**wanted, "email": "ada@newmail.example"}, headers=ada)
    assert await shop.token() != token
    assert code(await http.post(f"/api/users/email-confirmations/{token}", json=KNOWN)) == (410, "link_unusable")
    shop.time.now += MAIL_EVERY
    await http.patch("/api/users/me/email", json=wanted, headers=ada)
    token = await shop.token()
    await logged_in(http, email="eve@example.com", name="Eve")
    assert code(await http.post(f"/api/users/email-confirmations/{token}", json=KNOWN)) == (409, "email_taken")
    shop.time.now += MAIL_EVERY
    assert code(await http.patch("/api/users/me/email", json=wanted, headers=ada)) == (409, "email_taken")


async def test_a_new_password_makes_links_of_before_useless(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    await http.patch("/api/users/me/email", json={"email": "eve@example.com", "password": ADA["password"]}, headers=ada)
    token = await shop.token()
    new = {"password": "nine wet umbrellas", "current_password": ADA["password"]}
    await http.patch("/api/users/me", json=new, headers=ada)
    assert code(await http.post(f"/api/users/email-confirmations/{token}", json=KNOWN)) == (410, "link_unusable")


async def test_a_stolen_access_token_is_not_good_for_guessing(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    guess = {"password": "a guess of mine"}
    answers = [await http.request("DELETE", "/api/users/me", json=guess, headers=ada) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]


async def test_the_address_book(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    url, key = "/api/users/me/addresses", {"Idempotency-Key": "k"}
    first = await http.post(url, json=SQUARE, headers={**ada, **key})
    again = await http.post(url, json=SQUARE, headers={**ada, **key})
    assert (first.status_code, again.json()) == (201, first.json())
    other = await http.post(url, json={**SQUARE, "city": "Leeds"}, headers={**ada, **key})
    assert code(other) == (422, "idempotency_key_reused")
    assert (first.json()["default_shipping"], first.json()["default_billing"]) == (True, True)
    assert (await shop.told())[-1] == events.UserProfileChanged(("addresses",), shop.time.now)
    shop.time.now += 1
    second = (await http.post(url, json={**SQUARE, "city": "Leeds", "default_billing": True}, headers=ada)).json()
    listed = (await http.get(url, headers=ada)).json()["items"]
    assert [(a["city"], a["default_shipping"], a["default_billing"]) for a in listed] == [
        ("London", True, False),
        ("Leeds", False, True),
    ]
    changed = await http.patch(f"{url}/{second['id']}", json={"line2": "Flat 3"}, headers=ada)
    assert changed.json() == {**second, "line2": "Flat 3"}
    assert (await http.patch(f"{url}/{second['id']}", json={"city": None}, headers=ada)).status_code == 422
    eve = await logged_in(http, email="eve@example.com", name="Eve")
    for answer in (
        await http.patch(f"{url}/{second['id']}", json={"city": "Hell"}, headers=eve),
        await http.delete(f"{url}/{second['id']}", headers=eve),
    ):
        assert code(answer) == (404, "not_found")
    assert (await http.delete(f"{url}/{second['id']}", headers=ada)).status_code == 204
    assert [a["city"] for a in (await http.get(url, headers=ada)).json()["items"]] == ["London"]
    assert (await http.post(url, json={**SQUARE, "country": "England"}, headers=ada)).status_code == 422


async def test_an_address_book_is_full_at_some_time(http: httpx.AsyncClient) -> None:
    ada = await logged_in(http)
    answers = [await http.post("/api/users/me/addresses", json=SQUARE, headers=ada) for _ in range(51)]
    assert {answer.status_code for answer in answers[:50]} == {201}
    assert code(answers[50]) == (409, "too_many_addresses")


async def test_the_activity_page(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    shop.time.now += 1000
    await http.patch("/api/users/me", json={"language": "de"}, headers=ada)
    progress = SqlProgress(f"sqlite:///{shop.folder / 'flows.db'}")
    log = OutboxLog(shop.engine, outbox)
    runner = FlowRunner(show_activity(shop.accounts.activity), log, progress)
    await runner.start()
    async with asyncio.timeout(DEADLINE):
        await runner.reached((await log.read(0, 1000))[-1].position)
    await runner.stop()
    await progress.close()
    await shop.accounts.activity.close()
    first = (await http.get("/api/users/me/activity?limit=2", headers=ada)).json()
    second = (await http.get("/api/users/me/activity", params={"cursor": first["next"]}, headers=ada)).json()
    items = first["items"] + second["items"]
    assert [one["what"] for one in items] == ["profile_changed", "logged_in", "registered"]
    assert (items[0]["about"], items[2]["about"], second["next"]) == ({"fields": ["language"]}, {"by": "email"}, None)
    bad = await http.get("/api/users/me/activity?cursor=x", headers=ada)
    assert code(bad) == (400, "bad_cursor")


async def test_the_export_has_everything(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    address = (await http.post("/api/users/me/addresses", json=SQUARE, headers=ada)).json()
    answer = await http.get("/api/users/me/export", headers=ada)
    found = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert found["profile"] == (await http.get("/api/users/me", headers=ada)).json()
    assert found["addresses"] == [address]
    assert found["others"] == {"orders": [f"order of {found['profile']['id']}"]}
    assert [set(one) for one in found["sessions"]] == [
        {"id", "created_at", "exchanged_at", "expires_at", "device", "address"}
    ]
    assert "argon2" not in answer.text


async def test_an_account_is_deleted_after_its_password_or_a_log_in(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    user_id = session["user"]["id"]
    shop.time.now += RECENT + 1
    refreshed = await http.post("/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]})
    ada = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    assert code(await http.delete("/api/users/me", headers=ada)) == (403, "password_needed")
    wrong = await http.request("DELETE", "/api/users/me", json={"password": "x"}, headers=ada)
    assert code(wrong) == (403, "wrong_credentials")
    right = await http.request("DELETE", "/api/users/me", json={"password": ADA["password"]}, headers=ada)
    assert right.status_code == 204
    assert (await shop.told())[-1] == events.UserDeleted(shop.time.now)
    assert code(await http.post("/api/users/sessions", json=LOG_IN)) == (401, "wrong_credentials")
    used = refreshed.json()["refresh_token"]
    assert code(await http.post("/api/users/sessions/refresh", json={"refresh_token": used})) == (401, "invalid_token")
    with shop.engine.connect() as connection:
        row = connection.execute(sa.text("select id, email, name, password from users")).one()
    assert tuple(row) == (user_id, f"deleted:{user_id}", "", "")
    # The address is free again, and the new account is another one.
    anew = await http.post("/api/users", json=ADA)
    assert (anew.status_code, anew.json()["id"] == user_id) == (201, False)


async def test_a_recent_log_in_is_enough_to_delete(http: httpx.AsyncClient) -> None:
    ada = await logged_in(http)
    assert (await http.delete("/api/users/me", headers=ada)).status_code == 204


async def test_nothing_personal_is_in_the_events(http: httpx.AsyncClient, shop: Shop) -> None:
    ada = await logged_in(http)
    await http.post("/api/users/me/addresses", json=SQUARE, headers=ada)
    await http.post("/api/users/password-resets", json={"email": "ada@example.com"})
    token = await shop.token()
    written = b"".join(one.event for one in await OutboxLog(shop.engine, outbox).read(0, 1000))
    for secret in ("ada@example.com", "Ada", "Square", "umbrellas", token, token.partition(".")[2]):
        assert secret.encode() not in written
