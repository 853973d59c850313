"""The users' routes, behind the front."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from serve.gateway.front import Front, Limits
from serve.gateway.keys import DAY, Keys
from serve.gateway.passwords import Passwords
from serve.gateway.problems import Problem
from serve.gateway.rate_limits import InProcessLimits
from serve.gateway.tokens import Tokens
from serve.users.accounts import Accounts
from serve.users.api import STRICT_LIMITS, router
from serve.users.devices import Arrival
from serve.users.schemas import LogIn
from serve.users.sessions import LEEWAY, Lifetimes, Sessions
from serve.users.store import open_engine
from tests.databases import Databases

ADA = {"email": "Ada@Example.com", "password": "three wet umbrellas", "name": " Ada Byron "}
LOG_IN = {"email": "ada@example.com", "password": "three wet umbrellas"}


class Time:
    def __init__(self) -> None:
        self.now = 1_764_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Shop:
    accounts: Accounts
    sessions: Sessions
    keys: Keys
    front: Front
    time: Time
    engine: sa.Engine


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=64, time_cost=1)
    yield made
    made.close()


@pytest.fixture
def shop(databases: Databases, passwords: Passwords) -> Iterator[Shop]:
    time = Time()
    engine = open_engine(databases("users"))
    keys = Keys(engine, time)
    tokens = Tokens(keys, now=time)
    accounts = Accounts(engine, passwords, now=time)
    sessions = Sessions(engine, tokens, passwords, lifetimes=Lifetimes(30), now=time)
    app = FastAPI()
    app.include_router(router(accounts, sessions, keys))
    limits = Limits(InProcessLimits(now=lambda: time.now / 1000), strict=STRICT_LIMITS)
    yield Shop(accounts, sessions, keys, Front(app, tokens=tokens, limits=limits), time, engine)
    engine.dispose()


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(shop.front, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as made:
        yield made


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def logged_in(http: httpx.AsyncClient) -> dict[str, Any]:
    await http.post("/api/users", json=ADA)
    session: dict[str, Any] = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    return session


async def refresh(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.post("/api/users/sessions/refresh", json={"refresh_token": token})


async def test_register_log_in_and_read_the_profile(http: httpx.AsyncClient, shop: Shop) -> None:
    made = await http.post("/api/users", json=ADA)
    assert (made.status_code, made.json()) == (
        201,
        {
            "id": made.json()["id"],
            "email": "ada@example.com",
            "name": "Ada Byron",
            "roles": [],
            "created_at": shop.time.now,
            "email_confirmed": False,
            "phone": None,
            "language": "en",
        },
    )
    session = await http.post("/api/users/sessions", json=LOG_IN)
    assert (session.status_code, session.json()["expires_in"], session.json()["user"]) == (201, 300, made.json())
    assert session.headers["cache-control"] == "no-store"
    profile = await http.get("/api/users/me", headers=bearer(session.json()))
    assert (profile.status_code, profile.json()) == (200, {**made.json(), "order_count": 0, "last_order": None})


async def test_registration_refuses(http: httpx.AsyncClient) -> None:
    await http.post("/api/users", json=ADA)
    taken = await http.post("/api/users", json=ADA)
    weak = await http.post("/api/users", json={**ADA, "password": "password1234"})
    no_email = await http.post("/api/users", json={**ADA, "email": "ada"})
    roles = await http.post("/api/users", json={**ADA, "roles": ["admin"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    assert (no_email.status_code, no_email.json()["errors"][0]["where"]) == (422, "/body/email")
    assert (roles.status_code, roles.json()["errors"][0]["where"]) == (422, "/body/roles")
    assert "umbrellas" not in no_email.text


async def test_a_repeated_registration_finds_the_account(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await http.post("/api/users", json=ADA, headers=key)
    again = await http.post("/api/users", json=ADA, headers=key)
    stranger = await http.post("/api/users", json={**ADA, "password": "four wet umbrellas"}, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert stranger.json()["code"] == "email_taken"


async def test_wrong_credentials_do_not_tell_which(http: httpx.AsyncClient) -> None:
    await http.post("/api/users", json=ADA)
    wrong = await http.post("/api/users/sessions", json={**LOG_IN, "password": "two wet umbrellas"})
    unknown = await http.post("/api/users/sessions", json={**LOG_IN, "email": "eve@example.com"})
    bodies = [{k: v for k, v in a.json().items() if k != "request_id"} for a in (wrong, unknown)]
    assert bodies[0] == bodies[1]
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")


async def test_refresh_tokens_rotate(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await logged_in(http)
    shop.time.now += 400_000
    assert (await http.get("/api/users/me", headers=bearer(session))).json()["code"] == "invalid_token"
    second = await http.post(
        "/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]}, headers=bearer(session)
    )
    assert second.status_code == 200
    assert second.json()["refresh_token"] != session["refresh_token"]
    assert (await http.get("/api/users/me", headers=bearer(second.json()))).status_code == 200
    assert (await refresh(http, second.json()["refresh_token"])).status_code == 200


async def test_a_lost_answer_can_be_asked_for_again(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await logged_in(http)
    lost = await refresh(http, session["refresh_token"])
    shop.time.now += LEEWAY
    again = await refresh(http, session["refresh_token"])
    assert (again.status_code, again.json()["refresh_token"]) == (200, lost.json()["refresh_token"])
    assert (await refresh(http, again.json()["refresh_token"])).status_code == 200


async def test_an_exchanged_token_that_comes_again_ends_the_session(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await logged_in(http)
    second = await refresh(http, session["refresh_token"])
    shop.time.now += LEEWAY + 1
    stolen = await refresh(http, session["refresh_token"])
    owner = await refresh(http, second.json()["refresh_token"])
    assert [(a.status_code, a.json()["code"]) for a in (stolen, owner)] == [(401, "invalid_token")] * 2


async def test_a_forged_refresh_token_ends_nothing(http: httpx.AsyncClient) -> None:
    session = await logged_in(http)
    session_id, generation, mac = session["refresh_token"].split(".")
    for forged in (
        f"{session_id}.1.{mac}",
        f"{session_id}.0.{'0' * 64}",
        f"{session_id}.x.{mac}",
        session_id,
        "é",
        "...",
    ):
        assert (await refresh(http, forged)).status_code == 401
    assert generation == "0"
    assert (await refresh(http, session["refresh_token"])).status_code == 200


async def test_sessions_end_when_unused(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await logged_in(http)
    shop.time.now += 29 * DAY
    second = await refresh(http, session["refresh_token"])
    shop.time.now += 29 * DAY
    third = await refresh(http, second.json()["refresh_token"])
    assert (second.status_code, third.status_code) == (200, 200)
    shop.time.now += 30 * DAY
    assert (await refresh(http, third.json()["refresh_token"])).status_code == 401
    await http.post("/api/users/sessions", json=LOG_IN)
    with shop.engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from sessions")) == 1


async def test_log_out_ends_one_session_or_all(http: httpx.AsyncClient) -> None:
    one = await logged_in(http)
    two = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    three = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    assert (await http.delete("/api/users/sessions/current", headers=bearer(one))).status_code == 204
    assert (await refresh(http, one["refresh_token"])).status_code == 401
    assert (await refresh(http, two["refresh_token"])).status_code == 200
    assert (await http.delete("/api/users/sessions", headers=bearer(two))).status_code == 204
    assert (await refresh(http, three["refresh_token"])).status_code == 401


async def test_the_profile_changes(http: httpx.AsyncClient) -> None:
    session = await logged_in(http)
    other = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    named = await http.patch("/api/users/me", json={"name": "Ada Lovelace"}, headers=bearer(session))
    assert (named.status_code, named.json()["name"]) == (200, "Ada Lovelace")
    new = {"password": "five wet umbrellas", "current_password": "wrong"}
    wrong = await http.patch("/api/users/me", json=new, headers=bearer(session))
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_credentials")
    right = {**new, "current_password": ADA["password"]}
    assert (await http.patch("/api/users/me", json=right, headers=bearer(session))).status_code == 200
    assert (await http.post("/api/users/sessions", json=LOG_IN)).status_code == 401
    changed = await http.post("/api/users/sessions", json={**LOG_IN, "password": "five wet umbrellas"})
    assert changed.status_code == 201
    assert (await refresh(http, other["refresh_token"])).status_code == 401
    assert (await refresh(http, session["refresh_token"])).status_code == 200


async def test_routes_of_users_need_a_user(http: httpx.AsyncClient, shop: Shop) -> None:
    guest = await Tokens(shop.keys, now=shop.time).guest("g1")
    nobody = await http.get("/api/users/me")
    as_guest = await http.get("/api/users/me", headers={"Authorization": f"Bearer {guest}"})
    forged = await http.patch("/api/users/me", json={}, headers={"Authorization": "Bearer a.b.c"})
    assert [(a.status_code, a.json()["code"]) for a in (nobody, as_guest, forged)] == [
        (401, "not_authenticated"),
        (403, "forbidden"),
        (401, "invalid_token"),
    ]


async def test_anyone_can_verify_an_access_token_with_the_published_keys(http: httpx.AsyncClient, shop: Shop) -> None:
    session = await logged_in(http)
    published = (await http.get("/.well-known/jwks.json")).json()
    key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(session["access_token"])["kid"]]
    claims = jwt.decode(session["access_token"], key, ["RS256"], options={"verify_exp": False, "verify_iat": False})
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (session["user"]["id"], 300)
    assert "byron" not in str(claims).lower()
    assert "ada@" not in str(claims).lower()


async def test_staff_are_made_at_the_command_line(http: httpx.AsyncClient, shop: Shop) -> None:
    made = await shop.accounts.create_staff("sam@example.com", "seven dry umbrellas", "Sam", ("staff", "admin"))
    assert made.roles == ["admin", "staff"]
    with pytest.raises(ValueError, match="unknown roles"):
        await shop.accounts.create_staff("x@example.com", "seven dry umbrellas", "X", ("king",))
    await http.post("/api/users", json=ADA)
    assert (await shop.accounts.grant("ada@example.com", ["staff"])).roles == ["staff"]
    with pytest.raises(Problem, match="not_found"):
        await shop.accounts.grant("nobody@example.com", ["staff"])
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    assert session["user"]["roles"] == ["staff"]


async def test_a_password_is_hashed_again_when_the_cost_changed(shop: Shop, http: httpx.AsyncClient) -> None:
    await http.post("/api/users", json=ADA)
    dearer = Passwords(memory_kib=128, time_cost=1)
    sessions = Sessions(shop.engine, Tokens(shop.keys, now=shop.time), dearer, now=shop.time)
    await sessions.log_in(LogIn(**LOG_IN), Arrival())
    with shop.engine.connect() as connection:
        assert "$m=128," in str(connection.scalar(sa.text("select password from users")))
    dearer.close()


async def test_the_routes_are_described(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert {p for p in document["paths"] if p.startswith("/api/users")} == {
        "/api/users",
        "/api/users/email-confirmations",
        "/api/users/email-confirmations/{token}",
        "/api/users/me",
        "/api/users/me/activity",
        "/api/users/me/addresses",
        "/api/users/me/addresses/{id}",
        "/api/users/me/email",
        "/api/users/me/export",
        "/api/users/password-resets",
        "/api/users/password-resets/{token}",
        "/api/users/sessions",
        "/api/users/sessions/current",
        "/api/users/sessions/refresh",
        "/api/users/sessions/{id}",
    }
    assert document["paths"]["/api/users/me"]["get"]["security"] == [{"bearer": []}]
    parameters = document["paths"]["/api/users"]["post"]["parameters"]
    assert [p["name"] for p in parameters] == ["Idempotency-Key"]
