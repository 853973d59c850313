"""Social log-in against a real OpenID provider: the npm package oidc-provider in a process of its own.

It enforces PKCE, redirect addresses and that codes are used once, and signs what it says with keys of its own.
"""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serve.gateway.front import Front
from serve.gateway.keys import Keys
from serve.gateway.passwords import Passwords
from serve.gateway.tokens import Tokens
from serve.users.sessions import Sessions
from serve.users.sessions_api import session_routes
from serve.users.social.api import social_routes
from serve.users.social.configuring import SocialProvider
from serve.users.social.providers import provider_of
from serve.users.social.service import Social
from serve.users.store import open_engine

VERSION = "9.13.3"
SERVER = Path(__file__).parent / "oidc_provider" / "server.mjs"
SECRET = "a secret of forty characters and some more"
CALLBACK = "http://shop.example/api/users/oauth/real/callback"
INSTALL_SECONDS = 90
FOLDER = Path(
    os.environ.get("TROUPE_TEST_OIDC_PROVIDER") or Path(tempfile.gettempdir()) / f"troupe-oidc-provider-{os.getuid()}"
)


def _installed() -> Path:
    """Where the package is; installed there once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("social log-in against a real OpenID provider: there is no node and npm")
    if not (FOLDER / "node_modules/oidc-provider/package.json").exists():
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            subprocess.run(
                [npm, "install", f"oidc-provider@{VERSION}", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=FOLDER,
                check=True,
                capture_output=True,
                timeout=INSTALL_SECONDS,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"social log-in against a real OpenID provider: npm could not install it ({error})")
    return FOLDER


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    folder = _installed()
    node = shutil.which("node")
    assert node is not None
    process = subprocess.Popen(
        [node, SERVER, folder, CALLBACK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), f"it did not start: {line!r}"
        yield line
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
async def shop(issuer: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    engine = open_engine(tmp_path / "users.db")
    passwords = Passwords(memory_kib=64, time_cost=1)
    keys = Keys(engine)
    tokens = Tokens(keys)
    sessions = Sessions(engine, tokens, passwords)
    config = SocialProvider(name="real", kind="oidc", issuer=issuer, client_id="the-shop", client_secret=SECRET)
    social = Social(engine, sessions, tokens, [provider_of(config, CALLBACK)])
    app = FastAPI()
    app.include_router(session_routes(sessions, keys))
    app.include_router(social_routes(social, "http://shop.example"))
    transport = httpx.ASGITransport(Front(app, tokens=tokens), client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
        yield http
    passwords.close()
    await asyncio.to_thread(engine.dispose)


async def consent(url: str, login: str) -> dict[str, str]:
    """What a browser comes back with whose user logs in there and says yes."""
    async with httpx.AsyncClient(timeout=20) as browser:
        answer = await browser.get(url)
        for _ in range(12):
            if answer.is_redirect:
                target = answer.headers["location"]
                if target.startswith(CALLBACK):
                    return dict(httpx.URL(target).params)
                answer = await browser.get(answer.url.join(target))
                continue
            form = re.search(r'action="([^"]+)"', answer.text)
            assert form is not None, answer.text
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert prompt is not None, answer.text
            fields = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = await browser.post(answer.url.join(form[1]), data=fields)
    raise AssertionError("it never came back")


async def begin(shop: httpx.AsyncClient) -> str:
    answer = await shop.get("/api/users/oauth/real")
    assert answer.status_code == 302, answer.text
    url: str = answer.headers["location"]
    return url


async def come_back(shop: httpx.AsyncClient, params: dict[str, str]) -> httpx.Response:
    return await shop.get("/api/users/oauth/real/callback", params=params)


def code_of(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("code")


async def test_a_log_in_through_it_gives_a_session(shop: httpx.AsyncClient, issuer: str) -> None:
    back = await consent(await begin(shop), "ada")
    assert back["iss"] == issuer
    first = await come_back(shop, back)
    assert first.status_code == 200, first.text
    user = first.json()["user"]
    assert (user["email"], user["name"]) == ("ada@example.com", "Ada Byron")
    headers = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert len((await shop.get("/api/users/sessions", headers=headers)).json()["items"]) == 1
    second = await come_back(shop, await consent(await begin(shop), "ada"))
    assert second.json()["user"]["id"] == user["id"]
    other = await come_back(shop, await consent(await begin(shop), "bob"))
    assert other.json()["user"]["id"] != user["id"]


async def test_it_takes_a_code_once_and_only_with_its_verifier(shop: httpx.AsyncClient) -> None:
    one = await consent(await begin(shop), "ada")
    two = await consent(await begin(shop), "ada")
    # The code of one journey in the other: its proof is another.
    crossed = await come_back(shop, {**two, "code": one["code"]})
    assert code_of(crossed) == (403, "provider_refused")
    assert (await come_back(shop, {**two})).status_code == 200


async def test_its_refusal_is_told(shop: httpx.AsyncClient) -> None:
    state = dict(httpx.URL(await begin(shop)).params)["state"]
    assert code_of(await come_back(shop, {"error": "access_denied", "state": state})) == (403, "provider_refused")
