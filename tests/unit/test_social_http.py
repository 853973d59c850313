"""Social log-in over HTTP, against providers in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from joserfc.jwk import RSAKey

from pipelines.events import users as events
from pipelines.log.outbox import OutboxLog
from serve.gateway.front import Front
from serve.gateway.keys import Keys
from serve.gateway.passwords import Passwords
from serve.gateway.rate_limits import InProcessLimits
from serve.gateway.tokens import Tokens
from serve.settings import load
from serve.settings_errors import SettingsError
from serve.users.accounts import RECENT, Accounts
from serve.users.api import router
from serve.users.sessions import Sessions
from serve.users.social import client as social_client
from serve.users.social.api import social_routes
from serve.users.social.configuring import SocialProvider, parse
from serve.users.social.journey import LASTS
from serve.users.social.providers import provider_of
from serve.users.social.service import CODE_LASTS, Social
from serve.users.store import open_engine
from serve.users.tables import identities, outbox
from tests.databases import Databases
from tests.unit.fake_provider import CALLBACK, CLIENT_ID, CLIENT_SECRET, ISSUER, FakeProvider

ADA = {"email": "ada@example.com", "password": "three wet umbrellas", "name": "Ada Byron"}
LOG_IN = {"email": "ada@example.com", "password": "three wet umbrellas"}
RETURN = "https://shop.example/welcome"
CONFIGS = (
    {"name": "google", "kind": "oidc", "issuer": ISSUER},
    {"name": "github", "kind": "github", "site": ISSUER, "api": ISSUER},
    {"name": "facebook", "kind": "facebook", "site": ISSUER, "api": ISSUER},
)
EVERY = pytest.mark.parametrize("name", ["google", "github", "facebook"])


class Time:
    def __init__(self) -> None:
        self.now = 1_764_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Shop:
    engine: sa.Engine
    passwords: Passwords
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.provider = FakeProvider(self.time)
        self.front = self.build("")

    def build(self, return_url: str) -> Front:
        keys = Keys(self.engine, self.time)
        tokens = Tokens(keys, now=self.time)
        sessions = Sessions(self.engine, tokens, self.passwords, now=self.time)
        accounts = Accounts(self.engine, self.passwords, now=self.time, limits=InProcessLimits())
        configs = [SocialProvider(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, **one) for one in CONFIGS]
        providers = [
            provider_of(one, f"{CALLBACK}/{one.name}/callback", self.provider.transport, self.time) for one in configs
        ]
        social = Social(self.engine, sessions, tokens, providers, now=self.time)
        app = FastAPI()
        app.include_router(router(accounts, sessions, keys))
        app.include_router(social_routes(social, "https://shop.example", return_url))
        return Front(app, tokens=tokens)

    @asynccontextmanager
    async def browser(self, front: Front | None = None) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(front or self.front, client=("203.0.113.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as made:
            yield made

    async def told(self) -> list[events.Event]:
        found = await OutboxLog(self.engine, outbox).read(0, 1000)
        return [msgspec.msgpack.decode(one.event, type=events.Event) for one in found]


@pytest.fixture
def shop(databases: Databases) -> Iterator[Shop]:
    engine = open_engine(databases("users"))
    passwords = Passwords(memory_kib=64, time_cost=1)
    yield Shop(engine, passwords)
    passwords.close()
    engine.dispose()


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with shop.browser() as made:
        yield made


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def go(http: httpx.AsyncClient, name: str = "google", query: str = "") -> str:
    answer = await http.get(f"/api/users/oauth/{name}{query}")
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def come_back(http: httpx.AsyncClient, name: str, params: dict[str, str]) -> httpx.Response:
    return await http.get(f"/api/users/oauth/{name}/callback", params=params)


async def log_in(shop: Shop, http: httpx.AsyncClient, name: str = "google") -> httpx.Response:
    return await come_back(http, name, shop.provider.consent(await go(http, name)))


async def link(shop: Shop, http: httpx.AsyncClient, session: dict[str, Any], name: str) -> httpx.Response:
    begun = await http.post(f"/api/users/me/identities/{name}", headers=bearer(session))
    assert begun.status_code == 200, begun.text
    return await come_back(http, name, shop.provider.consent(begun.json()["url"]))


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_providers_are_those_of_the_settings(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/api/users/oauth")).json()["items"]
    assert [(one["name"], one["label"], one["url"]) for one in listed] == [
        ("google", "Google", "/api/users/oauth/google"),
        ("github", "Github", "/api/users/oauth/github"),
        ("facebook", "Facebook", "/api/users/oauth/facebook"),
    ]
    assert code_of(await http.get("/api/users/oauth/myspace")) == (404, "not_found")
    assert code_of(await http.get("/api/users/oauth/myspace/callback")) == (404, "not_found")


async def test_the_way_there_is_bound_to_the_browser(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/users/oauth/google")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert asked["redirect_uri"] == f"{CALLBACK}/google/callback"
    assert asked["scope"] == "openid email profile"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Max-Age=600", "Path=/api/users/oauth"):
        assert part in cookie
    assert answer.headers["cache-control"] == "no-store"


@EVERY
async def test_who_is_new_gets_an_account_and_finds_it_again(shop: Shop, http: httpx.AsyncClient, name: str) -> None:
    first = await log_in(shop, http, name)
    assert first.status_code == 200, first.text
    assert first.headers["cache-control"] == "no-store"
    user = first.json()["user"]
    confirmed = name != "facebook"
    assert (user["email"], user["name"], user["email_confirmed"]) == ("ada@example.com", "Ada Byron", confirmed)
    assert (await http.get("/api/users/me", headers=bearer(first.json()))).status_code == 200
    shop.provider.person["email"] = "ada@elsewhere.example"  # it is the subject that counts
    second = await log_in(shop, http, name)
    assert second.json()["user"]["id"] == user["id"]
    told = await shop.told()
    assert told[0] == events.UserRegistered(name, confirmed, shop.time.now)
    assert [type(event) for event in told if isinstance(event, events.EmailConfirmationRequested)] == (
        [] if confirmed else [events.EmailConfirmationRequested]
    )
    assert [event.by for event in told if isinstance(event, events.UserLoggedIn)] == [name, name]
    assert "byron" not in str(told).lower()


async def test_an_account_without_a_password_is_not_logged_in_to_with_one(shop: Shop, http: httpx.AsyncClient) -> None:
    await log_in(shop, http)
    for guess in ("", "nobody has this password", "three wet umbrellas"):
        answer = await http.post("/api/users/sessions", json={**LOG_IN, "password": guess})
        assert code_of(answer) == (401, "wrong_credentials")


async def test_what_the_id_token_does_not_tell_the_user_info_does(shop: Shop, http: httpx.AsyncClient) -> None:
    shop.provider.in_id_token = False
    assert (await log_in(shop, http)).json()["user"]["email"] == "ada@example.com"


@EVERY
@pytest.mark.parametrize("confirmed", [True, False])
async def test_no_account_is_taken_over(shop: Shop, http: httpx.AsyncClient, name: str, confirmed: bool) -> None:
    await http.post("/api/users", json=ADA)
    with shop.engine.execution_options(writes=True).begin() as connection:
        connection.execute(sa.text("update users set confirmed_at = :at"), {"at": 1 if confirmed else None})
    assert code_of(await log_in(shop, http, name)) == (409, "account_exists")
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    assert (await http.get("/api/users/me/identities", headers=bearer(session))).json()["items"] == []


async def test_without_an_address_there_is_no_account(shop: Shop, http: httpx.AsyncClient) -> None:
    shop.provider.person["email"] = None
    for name in ("google", "facebook", "github"):
        assert code_of(await log_in(shop, http, name)) == (409, "email_missing")


async def test_linking_listing_and_unlinking(shop: Shop, http: httpx.AsyncClient) -> None:
    await http.post("/api/users", json=ADA)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    for name in ("google", "github"):
        shop.time.now += 1
        assert (await link(shop, http, session, name)).json() == {"linked": name}
    assert (await link(shop, http, session, "google")).status_code == 200  # once more is no error
    listed = (await http.get("/api/users/me/identities", headers=bearer(session))).json()["items"]
    assert [one["provider"] for one in listed] == ["google", "github"]
    assert (await log_in(shop, http, "github")).json()["user"]["id"] == session["user"]["id"]
    for name in ("google", "github"):  # there is a password
        gone = await http.delete(f"/api/users/me/identities/{name}", headers=bearer(session))
        assert gone.status_code == 204
    assert code_of(await http.delete("/api/users/me/identities/google", headers=bearer(session))) == (404, "not_found")
    changes = [event.fields for event in await shop.told() if isinstance(event, events.UserProfileChanged)]
    assert changes == [("identities",)] * 4
    means = [event for event in await shop.told() if isinstance(event, events.IdentityLinked | events.IdentityUnlinked)]
    now = shop.time.now
    assert means == [
        events.IdentityLinked("google", now - 1),
        events.IdentityLinked("github", now),
        events.IdentityUnlinked("google", now),
        events.IdentityUnlinked("github", now),
    ]
    assert code_of(await log_in(shop, http)) == (409, "account_exists")


async def test_the_last_way_in_stays(shop: Shop, http: httpx.AsyncClient) -> None:
    session = (await log_in(shop, http)).json()
    last = await http.delete("/api/users/me/identities/google", headers=bearer(session))
    assert code_of(last) == (409, "last_way_in")
    await link(shop, http, session, "facebook")
    assert (await http.delete("/api/users/me/identities/google", headers=bearer(session))).status_code == 204
    assert (await log_in(shop, http, "facebook")).json()["user"]["id"] == session["user"]["id"]


async def test_an_identity_belongs_to_one_account(shop: Shop, http: httpx.AsyncClient) -> None:
    await log_in(shop, http)
    await http.post("/api/users", json={**ADA, "email": "eve@example.com"})
    eve = (await http.post("/api/users/sessions", json={**LOG_IN, "email": "eve@example.com"})).json()
    assert code_of(await link(shop, http, eve, "google")) == (409, "identity_taken")
    shop.provider.person["sub"] = "another"
    assert (await link(shop, http, eve, "google")).status_code == 200
    shop.provider.person["sub"] = "a third"
    assert code_of(await link(shop, http, eve, "google")) == (409, "identity_taken")


async def test_linking_needs_a_session_that_still_lives(shop: Shop, http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/users/me/identities/google")).status_code == 401
    await http.post("/api/users", json=ADA)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    begun = await http.post("/api/users/me/identities/google", headers=bearer(session))
    await http.delete("/api/users/sessions", headers=bearer(session))
    ended = await come_back(http, "google", shop.provider.consent(begun.json()["url"]))
    assert code_of(ended) == (401, "invalid_token")


async def test_an_access_token_alone_links_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    """Stolen, it would become a way in that outlives it."""
    await http.post("/api/users", json=ADA)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    shop.time.now += RECENT + 1
    session = (await http.post("/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]})).json()
    refused = await http.post("/api/users/me/identities/google", headers=bearer(session))
    assert code_of(refused) == (403, "password_needed")


async def test_another_browser_cannot_come_back(shop: Shop, http: httpx.AsyncClient) -> None:
    back = shop.provider.consent(await go(http))
    async with shop.browser() as other:
        assert code_of(await come_back(other, "google", back)) == (400, "log_in_expired")
        await go(other)
        assert code_of(await come_back(other, "google", back)) == (400, "log_in_expired")


async def test_a_journey_is_not_another_nor_forged_nor_repeated(shop: Shop, http: httpx.AsyncClient) -> None:
    back = shop.provider.consent(await go(http))
    assert code_of(await come_back(http, "google", {**back, "state": "other"})) == (400, "log_in_expired")
    assert code_of(await come_back(http, "google", {"code": back["code"]})) == (400, "log_in_expired")
    assert code_of(await come_back(http, "github", back)) == (400, "log_in_expired")
    other = shop.provider.consent(await go(http))
    assert code_of(await come_back(http, "google", {**back, "code": other["code"]})) == (403, "provider_refused")
    name, value = next((cookie.name, cookie.value) for cookie in http.cookies.jar)
    assert value is not None
    for forged in ("", "x", f"{value[:-1]}0" if value[-1] != "0" else f"{value[:-1]}1", "é"):
        answer = await http.get(
            "/api/users/oauth/google/callback",
            params=back,
            headers=[(b"cookie", f"{name}={forged}".encode("latin-1"))],
        )
        assert code_of(answer) == (400, "log_in_expired")
    third = shop.provider.consent(await go(http))
    assert (await come_back(http, "google", third)).status_code == 200
    assert code_of(await come_back(http, "google", third)) == (400, "log_in_expired")


async def test_two_tabs_do_not_disturb_each_other(shop: Shop, http: httpx.AsyncClient) -> None:
    one, two = shop.provider.consent(await go(http)), shop.provider.consent(await go(http))
    assert (await come_back(http, "google", one)).status_code == 200
    assert (await come_back(http, "google", two)).status_code == 200


async def test_a_journey_ends(shop: Shop, http: httpx.AsyncClient) -> None:
    back = shop.provider.consent(await go(http))
    shop.time.now += LASTS
    assert code_of(await come_back(http, "google", back)) == (400, "log_in_expired")


async def test_who_says_no_is_not_logged_in(shop: Shop, http: httpx.AsyncClient) -> None:
    state = shop.provider.consent(await go(http))["state"]
    denied = await come_back(http, "google", {"state": state, "error": "access_denied"})
    assert code_of(denied) == (403, "provider_refused")


async def test_an_answer_of_another_issuer_is_refused(shop: Shop, http: httpx.AsyncClient) -> None:
    back = {**shop.provider.consent(await go(http)), "iss": "https://evil.example"}
    assert code_of(await come_back(http, "google", back)) == (502, "provider_unusable")


def without(name: str) -> Callable[[Any], Any]:
    return lambda usual: {key: value for key, value in usual.items() if key != name}


def with_(**other: Any) -> Callable[[Any], Any]:
    return lambda usual: {**usual, **other}


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("id_token", with_(nonce="another")),
        ("id_token", without("nonce")),
        ("id_token", with_(iss="https://evil.example")),
        ("id_token", with_(aud="another client")),
        ("id_token", with_(aud=[CLIENT_ID, "another"], azp="another")),
        ("id_token", with_(exp=1_763_999_000)),
        ("id_token", without("exp")),
        ("id_token", without("sub")),
        ("id_token", lambda _: "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
        ("id_token", lambda _: "not a token"),
        ("token", without("id_token")),
        ("token", lambda _: ["not an object"]),
        ("jwks", lambda _: {"keys": []}),
        ("jwks", lambda _: {"keys": [RSAKey.generate_key(2048, {"kid": "k1"}).as_dict(private=False)]}),
        ("discovery", with_(issuer="https://evil.example")),
        ("discovery", with_(token_endpoint="http://id.example/token")),
        ("discovery", without("token_endpoint")),
        ("discovery", lambda _: []),
    ],
)
async def test_what_cannot_be_trusted_is_refused(
    shop: Shop, http: httpx.AsyncClient, what: str, fault: Callable[[Any], Any]
) -> None:
    back = shop.provider.consent(await go(http))
    shop.provider.faults[what] = fault
    assert code_of(await come_back(http, "google", back)) == (502, "provider_unusable")


async def test_nobody_is_sent_to_a_provider_that_cannot_be_trusted(shop: Shop, http: httpx.AsyncClient) -> None:
    await http.post("/api/users", json=ADA)
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    shop.provider.faults["discovery"] = with_(issuer="https://evil.example")
    log_in_there = await http.get("/api/users/oauth/google")
    link_it = await http.post("/api/users/me/identities/google", headers=bearer(session))
    for answer in (log_in_there, link_it):
        assert code_of(answer) == (502, "provider_unusable")
        assert "set-cookie" not in answer.headers


async def test_user_info_of_somebody_else_is_refused(shop: Shop, http: httpx.AsyncClient) -> None:
    shop.provider.in_id_token = False
    shop.provider.faults["userinfo"] = with_(sub="somebody else")
    assert code_of(await log_in(shop, http)) == (502, "provider_unusable")


@pytest.mark.parametrize(
    ("what", "name"), [("token", "google"), ("jwks", "google"), ("user", "github"), ("me", "facebook")]
)
async def test_a_provider_that_fails_is_unavailable(shop: Shop, http: httpx.AsyncClient, what: str, name: str) -> None:
    back = shop.provider.consent(await go(http, name))
    shop.provider.faults[what] = lambda _: JSONResponse({"oh": "no"}, 503)
    answer = await come_back(http, name, back)
    assert (*code_of(answer), answer.headers["retry-after"]) == (503, "provider_unavailable", "5")


async def test_a_provider_that_hangs_does_not_hang_the_shop(
    shop: Shop, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(social_client, "SECONDS", 0.05)

    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    shop.provider.transport = Hanging()
    async with shop.browser(shop.build("")) as browser:
        assert code_of(await browser.get("/api/users/oauth/google")) == (503, "provider_unavailable")


async def test_a_wrong_client_secret_is_the_shops_fault(shop: Shop, http: httpx.AsyncClient) -> None:
    back = shop.provider.consent(await go(http, "github"))
    shop.provider.faults["token"] = lambda _: {"error": "invalid_client", "error_description": "<script>"}
    answer = await come_back(http, "github", back)
    assert code_of(answer) == (502, "provider_unusable")
    assert "script" not in answer.text


async def test_a_page_of_the_shop_gets_a_code_that_is_exchanged_once(shop: Shop) -> None:
    async with shop.browser(shop.build(RETURN)) as http, shop.browser(shop.build(RETURN)) as other:
        back = shop.provider.consent(await go(http, "google", "?keep_me_logged_in=true"))
        answer = await come_back(http, "google", back)
        assert answer.status_code == 303
        page, _, query = answer.headers["location"].partition("?")
        assert page == RETURN
        code = parse_qs(query)["code"][0]
        assert "access_token" not in answer.headers["location"]
        made = await http.post("/api/users/oauth/exchange", json={"code": code})
        assert made.status_code == 201, made.text
        sessions = (await http.get("/api/users/sessions", headers=bearer(made.json()))).json()["items"]
        assert [one["keep_me_logged_in"] for one in sessions] == [True]
        again = await http.post("/api/users/oauth/exchange", json={"code": code})
        assert code_of(again) == (400, "log_in_expired")
        # The code alone is nothing in another browser, and does not live long.
        for seconds, browser in ((0, other), (CODE_LASTS, http)):
            answer = await come_back(http, "google", shop.provider.consent(await go(http)))
            code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
            shop.time.now += seconds
            refused = await browser.post("/api/users/oauth/exchange", json={"code": code})
            assert code_of(refused) == (400, "log_in_expired")


async def test_a_code_is_nothing_once_its_identity_is_no_way_in(shop: Shop) -> None:
    async with shop.browser(shop.build(RETURN)) as http:
        answer = await come_back(http, "google", shop.provider.consent(await go(http)))
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        with shop.engine.execution_options(writes=True).begin() as connection:
            connection.execute(identities.delete())
        assert code_of(await http.post("/api/users/oauth/exchange", json={"code": code})) == (400, "log_in_expired")


async def test_a_page_of_the_shop_is_told_what_went_wrong_and_what_was_linked(shop: Shop) -> None:
    async with shop.browser(shop.build(RETURN)) as http:
        await http.post("/api/users", json=ADA)
        taken = await log_in(shop, http)
        assert (taken.status_code, taken.headers["location"]) == (303, f"{RETURN}?error=account_exists")
        session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
        linked = await link(shop, http, session, "google")
        assert (linked.status_code, linked.headers["location"]) == (303, f"{RETURN}?linked=google")


async def test_a_secret_is_nowhere_in_what_is_told(shop: Shop, http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/users/oauth/google")
    assert CLIENT_SECRET not in str(answer.headers) + answer.text
    assert CLIENT_SECRET not in repr(SocialProvider(client_id="c", client_secret=CLIENT_SECRET, **CONFIGS[0]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "Invalid JSON"),
        ('[{"name": "x", "kind": "oidc", "client_id": "c", "client_secret": "hush"}]', "needs its issuer"),
        ('[{"name": "X!", "kind": "github", "client_id": "c", "client_secret": "hush"}]', "[0][name]"),
        ('[{"name": "x", "kind": "saml", "client_id": "c", "client_secret": "hush"}]', "[0][kind]"),
        (
            '[{"name": "x", "kind": "oidc", "issuer": "http://x", "client_id": "c", "client_secret": "hush"}]',
            "begin with https",
        ),
    ],
)
def test_a_bad_setting_stops_the_start_with_its_name(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_SOCIAL", text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert "TROUPE_SOCIAL" in str(caught.value)
    assert why in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_good_setting_reaches_other_processes() -> None:
    text = '[{"name": "x", "kind": "github", "client_id": "c", "client_secret": "hush"}]'
    settings = load(social=text)
    assert "hush" not in repr(settings)
    there = type(settings).unpacked(settings.packed())
    assert there.social is not None
    assert parse(there.social.get_secret_value())[0].client_secret.get_secret_value() == "hush"
