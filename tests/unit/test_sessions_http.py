"""Sessions over HTTP: listing and ending them, how long they last, guessing, and who is told."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from actors.runtime.ports import Overloaded
from pipelines.events import users as events
from pipelines.log.outbox import OutboxLog
from serve.gateway.front import Front
from serve.gateway.keys import DAY, Keys
from serve.gateway.passwords import Passwords
from serve.gateway.rate_limits import Addresses
from serve.gateway.tokens import Tokens
from serve.users.accounts import Accounts
from serve.users.api import router
from serve.users.attempts import ACCOUNT
from serve.users.ended_sessions import PolledEndedSessions
from serve.users.sessions import Lifetimes, Sessions
from serve.users.sessions_store import MOST, REMEMBERED
from serve.users.store import open_engine
from serve.users.tables import outbox
from tests.databases import Databases
from tests.unit.test_devices import FIREFOX, IPHONE

ADA = {"email": "ada@example.com", "password": "three wet umbrellas", "name": "Ada Byron"}
LOG_IN = {"email": "ada@example.com", "password": "three wet umbrellas"}
WRONG = {**LOG_IN, "password": "two wet umbrellas"}


class Time:
    def __init__(self) -> None:
        self.now = 1_764_000_000_000

    def __call__(self) -> int:
        return self.now


class CountingPasswords(Passwords):
    """Counts the verifications, each of which costs the same."""

    verified = 0
    broken = False

    async def verify(self, password: str, hashed: str | None) -> bool:
        self.verified += 1
        if self.broken:
            raise Overloaded(1.0)
        return await super().verify(password, hashed)


@dataclass
class Shop:
    engine: sa.Engine
    time: Time
    passwords: CountingPasswords
    ended: PolledEndedSessions
    front: Front

    async def told(self) -> list[events.Event]:
        found = await OutboxLog(self.engine, outbox).read(0, 1000)
        return [msgspec.msgpack.decode(one.event, type=events.Event) for one in found]


def build(engine: sa.Engine, time: Time, passwords: CountingPasswords) -> Shop:
    keys = Keys(engine, time)
    ended = PolledEndedSessions(engine, now=time)
    tokens = Tokens(keys, now=time, ended=ended)
    sessions = Sessions(engine, tokens, passwords, lifetimes=Lifetimes(1, 30, 90), ended=ended, now=time)
    app = FastAPI()
    app.include_router(router(Accounts(engine, passwords, now=time), sessions, keys))
    front = Front(app, tokens=tokens, addresses=Addresses(["10.0.0.0/8"]))
    return Shop(engine, time, passwords, ended, front)


@pytest.fixture
def shop(databases: Databases) -> Iterator[Shop]:
    passwords = CountingPasswords(memory_kib=64, time_cost=1)
    engine = open_engine(databases("users"))
    yield build(engine, Time(), passwords)
    passwords.close()
    engine.dispose()


def client_of(shop: Shop, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(shop.front, client=("10.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers)


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop, **{"X-Forwarded-For": "203.0.113.9", "User-Agent": FIREFOX}) as made:
        await made.post("/api/users", json=ADA)
        yield made


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


def from_(address: str, user_agent: str = FIREFOX) -> dict[str, str]:
    return {"X-Forwarded-For": address, "User-Agent": user_agent}


async def log_in(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    answer = await http.post("/api/users/sessions", json={**LOG_IN, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refresh(http: httpx.AsyncClient, session: dict[str, Any], **headers: str) -> httpx.Response:
    body = {"refresh_token": session["refresh_token"]}
    return await http.post("/api/users/sessions/refresh", json=body, headers=headers)


async def test_sessions_are_listed_with_device_place_and_times(http: httpx.AsyncClient, shop: Shop) -> None:
    first = await log_in(http)
    began = shop.time.now
    shop.time.now += 5000
    phone = await log_in(http, from_("2001:db8:1:2::3", IPHONE), keep_me_logged_in=True)
    shop.time.now += 5000
    assert (await refresh(http, first, **from_("198.51.100.20"))).status_code == 200
    answer = await http.get("/api/users/sessions", headers=bearer(phone))
    items = answer.json()["items"]
    assert answer.json()["next"] is None
    assert [{k: v for k, v in item.items() if k != "id"} for item in items] == [
        {
            "device": "Firefox on Windows",
            "address": "198.51.100.0/24",
            "created_at": began,
            "used_at": began + 10_000,
            "expires_at": began + 10_000 + DAY,
            "keep_me_logged_in": False,
            "current": False,
        },
        {
            "device": "Mobile Safari on iOS",
            "address": "2001:db8:1::/48",
            "created_at": began + 5000,
            "used_at": began + 5000,
            "expires_at": began + 5000 + 30 * DAY,
            "keep_me_logged_in": True,
            "current": True,
        },
    ]


async def test_one_session_is_ended_and_its_access_token_with_it(http: httpx.AsyncClient) -> None:
    phone, laptop = await log_in(http), await log_in(http)
    assert (await http.get("/api/users/me", headers=bearer(phone))).status_code == 200
    other = next(
        item["id"]
        for item in (await http.get("/api/users/sessions", headers=bearer(laptop))).json()["items"]
        if not item["current"]
    )
    assert (await http.delete(f"/api/users/sessions/{other}", headers=bearer(laptop))).status_code == 204
    refused = await http.get("/api/users/me", headers=bearer(phone))
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert (await refresh(http, phone)).status_code == 401
    assert (await http.get("/api/users/me", headers=bearer(laptop))).status_code == 200
    again = await http.delete(f"/api/users/sessions/{other}", headers=bearer(laptop))
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


async def test_nobody_ends_or_sees_the_sessions_of_another(http: httpx.AsyncClient) -> None:
    ada = await log_in(http)
    await http.post("/api/users", json={**ADA, "email": "eve@example.com"})
    eve = (await http.post("/api/users/sessions", json={**LOG_IN, "email": "eve@example.com"})).json()
    session = (await http.get("/api/users/sessions", headers=bearer(ada))).json()["items"][0]["id"]
    assert (await http.delete(f"/api/users/sessions/{session}", headers=bearer(eve))).status_code == 404
    seen = (await http.get("/api/users/sessions", headers=bearer(eve))).json()["items"]
    assert [item["id"] for item in seen if item["id"] == session] == []
    assert (await refresh(http, ada)).status_code == 200
    assert (await http.get("/api/users/sessions")).status_code == 401


async def test_logging_out_refuses_the_access_token_at_once(http: httpx.AsyncClient) -> None:
    session = await log_in(http)
    assert (await http.delete("/api/users/sessions/current", headers=bearer(session))).status_code == 204
    assert (await http.get("/api/users/me", headers=bearer(session))).status_code == 401


async def test_another_gateway_refuses_a_logged_out_session_within_a_second(
    http: httpx.AsyncClient, shop: Shop
) -> None:
    other = build(shop.engine, shop.time, shop.passwords)
    await other.ended.start()
    async with client_of(other) as elsewhere:
        session, kept = await log_in(http), await log_in(http)
        for one in (session, kept):
            assert (await elsewhere.get("/api/users/me", headers=bearer(one))).status_code == 200
        await http.delete("/api/users/sessions/current", headers=bearer(session))
        async with asyncio.timeout(1):
            while (await elsewhere.get("/api/users/me", headers=bearer(session))).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await elsewhere.get("/api/users/me", headers=bearer(kept))).status_code == 200
    await other.ended.stop()


async def test_a_gateway_that_starts_knows_what_ended_before(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await log_in(http)
    await http.delete("/api/users/sessions", headers=bearer(session))
    other = build(shop.engine, shop.time, shop.passwords)
    await other.ended.start()
    async with client_of(other) as elsewhere:
        assert (await elsewhere.get("/api/users/me", headers=bearer(session))).status_code == 401
    await other.ended.stop()


async def test_ended_sessions_are_forgotten_when_their_tokens_are_long_dead(
    http: httpx.AsyncClient, shop: Shop
) -> None:
    session = await log_in(http)
    await http.delete("/api/users/sessions/current", headers=bearer(session))
    await shop.ended.look()
    assert len(shop.ended._ended) == 1
    shop.time.now += REMEMBERED + 1
    await shop.ended.look()
    assert len(shop.ended._ended) == 0


async def test_a_session_lasts_as_long_as_configured(http: httpx.AsyncClient, shop: Shop) -> None:
    short, kept = await log_in(http), await log_in(http, keep_me_logged_in=True)
    shop.time.now += DAY - 1
    short = (await refresh(http, short)).json()
    shop.time.now += DAY - 1
    assert (await refresh(http, short)).status_code == 200
    shop.time.now += DAY
    assert (await refresh(http, short)).status_code == 401
    for _ in range(3):  # used every 29 days
        kept = (await refresh(http, kept)).json()
        shop.time.now += 29 * DAY - DAY
    assert (await refresh(http, kept)).status_code == 200
    shop.time.now += 5 * DAY
    assert (await refresh(http, kept)).status_code == 401  # 90 days are over, however much it was used


async def test_a_user_has_a_bounded_number_of_sessions(http: httpx.AsyncClient, shop: Shop) -> None:
    first = await log_in(http)
    for _ in range(MOST):
        shop.time.now += 1
        last = await log_in(http)
    assert (await http.get("/api/users/me", headers=bearer(first))).status_code == 401
    listed = (await http.get("/api/users/sessions", headers=bearer(last))).json()["items"]
    assert len(listed) == MOST


async def test_a_password_is_good_for_as_long_as_its_owner_likes(http: httpx.AsyncClient, shop: Shop) -> None:
    shop.time.now += 10 * 365 * DAY
    await log_in(http)


async def test_a_token_in_an_address_opens_nothing(http: httpx.AsyncClient) -> None:
    token = (await log_in(http))["access_token"]
    for name in ("access_token", "token", "authorization", "access", "bearer"):
        assert (await http.get("/api/users/me", params={name: token})).status_code == 401


async def test_tokens_of_sessions_cannot_be_guessed(http: httpx.AsyncClient) -> None:
    tokens = [(await log_in(http))["refresh_token"] for _ in range(3)]
    assert all(re.fullmatch("[0-9a-f]{32}\\.0\\.[0-9a-f]{64}", token) for token in tokens)
    assert len({token.partition(".")[0] for token in tokens}) == 3
    session, _, mac = tokens[0].split(".")
    other = await http.post("/api/users/sessions/refresh", json={"refresh_token": f"{session}.1.{mac}"})
    assert other.status_code == 401


async def test_headers_that_claim_an_identity_are_stripped(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await log_in(http)
    lies = {"X-User-Id": session["user"]["id"], "X-Consumer-Username": "admin", "Remote-User": "admin"}
    assert (await http.get("/api/users/me", headers=lies)).status_code == 401
    seen: list[str] = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(name.decode() for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = FastAPI()
    app.mount("/spied", spy)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Front(app)), base_url="http://shop") as client:
        assert (await client.get("/spied/x", headers={**lies, "X-Kept": "1"})).status_code == 204
    assert "x-kept" in seen
    assert {"x-user-id", "x-consumer-username", "remote-user"}.isdisjoint(seen)


async def test_unknown_address_and_wrong_password_cannot_be_told_apart(http: httpx.AsyncClient, shop: Shop) -> None:
    answers, costs = [], []
    for guess in (WRONG, {**LOG_IN, "email": "eve@example.com"}):
        before = shop.passwords.verified
        got = [await http.post("/api/users/sessions", json=guess, headers=from_("198.51.100.1")) for _ in range(7)]
        answers.append([(a.status_code, {**a.json(), "request_id": ""}, a.headers.get("retry-after")) for a in got])
        costs.append(shop.passwords.verified - before)
    assert answers[0] == answers[1]
    assert [status for status, _, _ in answers[0]] == [401] * 6 + [429]
    assert costs == [6, 6]


async def test_guessing_from_one_address_is_slowed_down_for_it_only(http: httpx.AsyncClient, shop: Shop) -> None:
    for _ in range(6):
        assert (await http.post("/api/users/sessions", json=WRONG)).status_code == 401
    shut = await http.post("/api/users/sessions", json=LOG_IN)
    assert (shut.status_code, shut.json()["code"], shut.headers["retry-after"]) == (429, "rate_limited", "1")
    await log_in(http, from_("198.51.100.1"))
    shop.time.now += 1000
    await log_in(http)
    await log_in(http)


async def test_the_owners_device_passes_while_strangers_are_locked_out(http: httpx.AsyncClient, shop: Shop) -> None:
    phone = await log_in(http)
    for n in range(ACCOUNT.free + 1):
        stranger = from_(f"198.51.{n}.1")
        assert (await http.post("/api/users/sessions", json=WRONG, headers=stranger)).status_code == 401
    new = await http.post("/api/users/sessions", json=LOG_IN)
    assert new.status_code == 429
    again = await log_in(http, device_token=phone["device_token"])
    assert again["device_token"] == phone["device_token"]
    # For good is nobody locked out: the longest wait is bounded.
    shop.time.now += ACCOUNT.longest
    await log_in(http)


async def test_a_busy_moment_is_no_failed_attempt(http: httpx.AsyncClient, shop: Shop) -> None:
    shop.passwords.broken = True
    for _ in range(20):
        assert (await http.post("/api/users/sessions", json=LOG_IN)).status_code == 503
    shop.passwords.broken = False
    await log_in(http)


async def test_others_are_told_of_log_ins_and_whether_the_device_is_known(http: httpx.AsyncClient, shop: Shop) -> None:
    first = await log_in(http)
    await log_in(http)  # the same browser at the same place
    await log_in(http, from_("198.51.100.1", IPHONE))
    await log_in(http, from_("192.0.2.1", IPHONE), device_token=first["device_token"])
    told = [event for event in await shop.told() if isinstance(event, events.UserLoggedIn)]
    assert [event.known_device for event in told] == [True, True, False, True]
    assert {event.by for event in told} == {"password"}
    listed = (await http.get("/api/users/sessions", headers=bearer(first))).json()["items"]
    assert {event.session for event in told} == {item["id"] for item in listed}
    with shop.engine.connect() as connection:
        versions = list(connection.scalars(sa.select(outbox.c.version).order_by(outbox.c.position)))
        current = connection.scalar(sa.text("select version from users"))
    assert versions[-4:] == [2, 3, 4, 5]
    assert current == 5


async def test_a_database_of_an_older_version_gets_its_columns(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "users.db")
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE users (id VARCHAR(36) PRIMARY KEY, email VARCHAR(320) NOT NULL UNIQUE, name VARCHAR(200) NOT "
            "NULL, password VARCHAR(255) NOT NULL, roles VARCHAR(100) NOT NULL, created_at BIGINT NOT NULL, "
            "version INTEGER NOT NULL, registered_by VARCHAR(32))"
        )
        connection.exec_driver_sql(
            "CREATE TABLE sessions (id VARCHAR(32) PRIMARY KEY, user_id VARCHAR(36) NOT NULL REFERENCES users (id), "
            "secret BLOB NOT NULL, generation INTEGER NOT NULL, created_at BIGINT NOT NULL, exchanged_at BIGINT NOT "
            "NULL, expires_at BIGINT NOT NULL, ended VARCHAR(20))"
        )
    passwords = CountingPasswords(memory_kib=64, time_cost=1)
    shop = build(engine, Time(), passwords)
    async with client_of(shop) as http:
        await http.post("/api/users", json=ADA)
        session = await log_in(http)
        assert (await http.get("/api/users/sessions", headers=bearer(session))).status_code == 200
    passwords.close()
    engine.dispose()
