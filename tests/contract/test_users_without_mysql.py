"""The users' routes while nothing comes from MySQL any more: everybody is told so within the deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from deploy.servers.fleet import Servers
from deploy.servers.server import HOST, free_port
from serve.gateway.call import READ_SECONDS, USUAL
from tests.databases import Databases, Server
from tests.servers import address
from tests.servers.proxies import BLACK_HOLE, Proxies
from tests.unit.users_front import ADA, LOG_IN, LOOKS, Users, changes

pytestmark = pytest.mark.servers

BUSY_SECONDS = 2.0
"""What a busy machine may take beyond the deadline; MySQL's own patience is longer."""
RECOVERY_SECONDS = 30.0
CALLERS = 10


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    with Servers(["toxiproxy"]) as servers:
        made = Proxies(servers.running["toxiproxy"].url())
        yield made
        made.close()


@pytest.fixture
def users(proxies: Proxies, tmp_path: Path) -> Iterator[Users]:
    mysql = Server(sa.make_url(address("MYSQL")))
    url = sa.make_url(Databases(tmp_path, mysql)("users"))
    port = free_port()
    proxies.add("mysql", f"{HOST}:{port}", f"{url.host}:{url.port}")
    made = Users(url.set(host=HOST, port=port).render_as_string(hide_password=False), USUAL)
    yield made
    made.close()
    mysql.close()


@pytest.fixture
async def http(users: Users) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(users.front), base_url="http://shop") as made:
        yield made


async def test_nobody_waits_longer_than_the_deadline(http: httpx.AsyncClient, proxies: Proxies) -> None:
    assert (await http.post("/api/users", json=ADA)).status_code == 201
    session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
    token = {"Authorization": f"Bearer {session['access_token']}"}
    with proxies.toxic("mysql", BLACK_HOLE):
        began = time.monotonic()
        answers = await asyncio.gather(
            *(http.get(path, headers=token) for path in LOOKS * CALLERS),
            *(http.post(path, json=body) for path, body in changes(session["refresh_token"]).items()),
        )
        took = time.monotonic() - began
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(503, "unavailable")] * len(answers)
    assert took < READ_SECONDS + BUSY_SECONDS
    async with asyncio.timeout(RECOVERY_SECONDS):
        while (await http.get("/api/users/me", headers=token)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await http.post("/api/users/sessions", json=LOG_IN)).status_code == 201
