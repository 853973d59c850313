"""Real web processes of a shop, without hosts, behind a real Envoy: keys change while people shop, and none notices."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from serve import settings as settings_module
from serve.composing import Shop, front_of
from serve.edge.front_door import Node
from serve.gateway.keys import DAY, PERIOD, Keys
from serve.gateway.tokens import Tokens
from serve.users.store import open_engine
from tests.contract.edge import HOST, door_to
from tests.contract.edge_asking import Asking
from tests.contract.edge_envoy import Running, envoy
from tests.running import free_port
from tests.unit.whole_shop import CHEAP, answering
from tests.waiting import eventually

pytestmark = pytest.mark.servers

HOUR = DAY // 24
ADA = {"email": "ada@example.com", "password": "three wet umbrellas", "name": "Ada Byron"}


SERVED = ("users", "catalog")


async def nothing() -> None:
    """There are no hosts to start."""


class Clock:
    """The keys' own, so that a month passes at once."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return int(time.time() * 1000) + self.ahead

    def be(self, before: int) -> None:
        """So many milliseconds before the end of this period; below 0: after it."""
        now = int(time.time() * 1000)
        self.ahead = (now // PERIOD + 1) * PERIOD - before - now


class Scene(NamedTuple):
    running: Running
    clock: Clock
    keys: Keys
    tokens: Tokens
    secret: bytes

    def token(self) -> str:
        return asyncio.run(self.tokens.access("operator", ["staff"], "tests"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = Clock()
    clock.be(2 * DAY)
    with ExitStack() as stack:
        nodes = []
        for _ in range(2):
            given: dict[str, Any] = {**CHEAP, "port": free_port(), "data_dir": tmp_path / "data", "services": SERVED}
            (tmp_path / "data").mkdir(exist_ok=True)
            shop = Shop(settings_module.load(**given))
            shop.keys._now = clock
            stack.enter_context(answering(front_of(shop, nothing, nothing), shop.settings.port))
            nodes.append(Node(HOST, shop.settings.port))
        engine = open_engine(f"sqlite:///{tmp_path / 'data' / 'users.db'}")
        stack.callback(engine.dispose)
        keys = Keys(engine, clock)
        secret = asyncio.run(keys.ring()).guest_secret
        running = stack.enter_context(envoy(tmp_path / "envoy", door_to(nodes), secret, jwks_seconds=1))
        yield Scene(running, clock, keys, Tokens(keys), secret)


def test_who_registers_at_the_front_door_may_use_it(scene: Scene) -> None:
    with httpx.Client(base_url=scene.running.url, timeout=30) as web:
        assert web.post("/api/users", json=ADA).status_code == 201
        old = {"Authorization": "Bearer expired.and.gone"}
        log_in = {"email": ADA["email"], "password": ADA["password"]}
        session = web.post("/api/users/sessions", json=log_in, headers=old)
        assert session.status_code == 201
        me = web.get("/api/users/me", headers={"Authorization": f"Bearer {session.json()['access_token']}"})
        assert (me.status_code, me.json()["email"]) == (200, ADA["email"])
        assert me.headers["x-request-id"]
        assert web.get("/api/users/me").status_code == 401
        assert web.get("/api/catalog/categories").status_code == 200


def test_the_keys_change_without_a_failed_request(scene: Scene) -> None:
    product = {"name": "Moss mug", "category": "Kitchen/Mugs", "price": 1450, "slug": "mug"}
    with httpx.Client(base_url=scene.running.url, timeout=30) as web:
        path = "/api/admin/products/MUG"
        put = web.put(path, json=product, headers={"Authorization": f"Bearer {scene.token()}"})
        assert put.status_code == 201
        with Asking(scene.running.url, path, scene.token) as asking:
            asking.more(5)
            scene.clock.be(12 * HOUR)  # the next key is published, and signs nothing yet
            fetched = scene.running.stat("jwks_fetch_success")
            eventually(lambda: scene.running.stat("jwks_fetch_success") > fetched + 1, 30.0)
            asking.more(5)
            scene.clock.be(-HOUR)
            asking.more(5)
    assert len(asking.kids) == 2
    assert set(asking.statuses) == {200}
    assert scene.running.stat("jwt_authn.denied") == 0
