"""Envoy and HAProxy in front of a shop on two Ray nodes, each with a web replica and Serve's own HAProxy.

Both nodes are on this machine. The second is killed at the end; the first has Ray's head and the hosts of entities,
whose own deaths other tests are about.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from serve.edge.envoy import SHOP
from serve.edge.front_door import JWKS_PATH, FrontDoor, Node
from serve.gateway import clock
from serve.gateway.keys import PERIOD, KeyRing, Keys
from serve.gateway.tokens import Tokens
from serve.setup_steps import set_up
from serve.users.store import open_engine
from tests.api.shopping import Buyer, bearer
from tests.contract.edge import HOST, bad_tokens, door_to
from tests.contract.edge_asking import Asking
from tests.contract.edge_envoy import Running, envoy
from tests.contract.own_databases import shop_on_mysql
from tests.contract.test_edge_haproxy import haproxy, told
from tests.crowds import until
from tests.running import RunningShop
from tests.servers.load import FINE, REFUSED, Load, goods
from tests.servers.nodes import SecondNode
from tests.servers.verdict import judge
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]
PUBLIC = "/api/catalog/categories"
READS = {
    "users": "/api/users/me",
    "catalog": PUBLIC,
    "carts": "/api/cart",
    "orders": "/api/orders",
    "payments": "/api/admin/payments/transactions",
    "notifications": "/api/notifications",
}
"""One of each service."""
SENT = "upstream_rq_total"
READERS = 6
WRITES = {"cart", "new cart", "checkout"}


class World(NamedTuple):
    shop: RunningShop
    second: SecondNode
    user: str
    goods: list[str]

    @property
    def nodes(self) -> list[Node]:
        return [Node(HOST, self.shop.port), self.second.address]

    def door(self, **settings: int | bool) -> FrontDoor:
        """Orders have a cluster of their own, of the same nodes."""
        return door_to(self.nodes, {"orders": self.nodes[::-1]}, **settings)

    def envoy(self, folder: Path, **settings: int | bool) -> AbstractContextManager[Running]:
        return envoy(folder, self.door(**settings), self.keys()[0].guest_secret, jwks_seconds=1)

    def keys(self, ahead: int = 0) -> tuple[KeyRing, str]:
        """The shop's, and a token of the staff's signed with them, as they are so many milliseconds from now."""
        engine = open_engine(self.shop.settings.database_url("users"))

        async def made() -> tuple[KeyRing, str]:
            keys = Keys(engine, lambda: clock.now_ms() + ahead)
            return await keys.ring(), await Tokens(keys).access("operator", ["staff"], "tests")

        try:
            return asyncio.run(made())
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with shop_on_mysql() as mysql:
        shop = RunningShop(TROUPE_MYSQL_URL=mysql, TROUPE_RATE_LIMITS="false")
        set_up(shop.settings, lambda _: None)
        with shop, shop.client() as web:
            second = SecondNode(shop)
            second.start()
            yield World(shop, second, Buyer.registered(web).token, goods(shop))


@pytest.fixture(scope="module")
def front(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with world.envoy(tmp_path_factory.mktemp("envoy"), rate_limits=False) as running:
        yield running


@pytest.fixture
def web(front: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=front.url, timeout=30) as client:
        yield client


def test_each_service_has_its_route(world: World, front: Running, web: httpx.Client) -> None:
    staff = world.shop.staff_token()
    found: dict[str, tuple[int, int, int]] = {}
    for name, path in READS.items():
        before = front.stat(f"cluster.{SHOP}.{SENT}"), front.stat(f"cluster.orders.{SENT}")
        status = web.get(path, headers=bearer(staff if name == "payments" else world.user)).status_code
        after = front.stat(f"cluster.{SHOP}.{SENT}"), front.stat(f"cluster.orders.{SENT}")
        found[name] = status, int(after[0] > before[0]), int(after[1] > before[1])
    # Envoy itself asks for the keys at any time, at the cluster that users are in.
    assert {name: (status, orders) for name, (status, _, orders) in found.items()} == {
        name: (200, int(name == "orders")) for name in READS
    }
    assert all(usual for name, (_, usual, _) in found.items() if name != "orders")
    assert web.get("/metrics").status_code == web.get("/api/health/ready").status_code == 404


def test_both_nodes_are_asked(front: Running, web: httpx.Client) -> None:
    for _ in range(20):
        assert web.get(PUBLIC).status_code == 200
    text = httpx.get(f"http://{front.server.address}/clusters", timeout=5).text
    lines = [line.split("::") for line in text.splitlines() if line.startswith(f"{SHOP}::") and "rq_success" in line]
    assert [int(count) > 0 for _, _, _, count in lines] == [True, True]


def test_only_good_tokens_pass(world: World, web: httpx.Client) -> None:
    bad = bad_tokens(world.keys()[0], world.user)
    statuses = {name: web.get("/api/orders", headers=bearer(token)).status_code for name, token in bad.items()}
    assert statuses == dict.fromkeys(bad, 401)
    assert web.get("/api/orders").status_code == 401
    assert web.get("/api/admin/orders", headers=bearer(world.user)).status_code == 403
    assert web.get(PUBLIC).status_code == 200
    assert web.get("/api/orders", headers=bearer(world.user)).status_code == 200


def test_who_calls_too_often_waits(world: World, tmp_path: Path) -> None:
    few = {"rate_per_minute": 2, "rate_burst": 2, "rate_address_factor": 2}
    with world.envoy(tmp_path / "envoy", **few) as running, httpx.Client(base_url=running.url, timeout=30) as web:
        answers = [web.get(PUBLIC) for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 4 + [429] * 2
    assert (answers[-1].headers["retry-after"], answers[-1].json()["code"]) == ("1", "rate_limited")


def test_the_keys_change_without_a_failed_request(world: World, front: Running) -> None:
    """The next period's key is made before its time; then it signs. Nodes read it as they do near a period's end."""
    path = "/api/admin/payments/transactions"
    tokens = [world.keys()[1]]
    with Asking(front.url, path, lambda: tokens[-1]) as asking:
        asking.more(5)
        ring, token = world.keys(PERIOD)
        eventually(lambda: all(_publishes(node, ring.kid, token) for node in world.nodes * 4), 30.0)
        fetched = front.stat("jwks_fetch_success")
        eventually(lambda: front.stat("jwks_fetch_success") > fetched + 2, 30.0)
        tokens.append(token)
        asking.more(10)
    assert len(asking.kids) == 2
    assert set(asking.statuses) == {200}


def _publishes(node: Node, kid: str, token: str) -> bool:
    """A replica that is shown a key that it does not know reads its keys again."""
    httpx.get(f"http://{node}/api/orders", headers=bearer(token), timeout=30)
    published = httpx.get(f"http://{node}{JWKS_PATH}", timeout=30).json()["keys"]
    return kid in {key["kid"] for key in published}


def test_haproxy_drains_a_node(world: World, tmp_path: Path) -> None:
    with haproxy(tmp_path / "haproxy", world.door()) as url:
        answers: list[int] = []
        sent: list[int] = []

        def asked() -> bool:
            answers.append(httpx.get(f"{url}{PUBLIC}", timeout=30).status_code)
            sent.append(_sent(tmp_path / "haproxy", "node2"))
            return True

        assert all(asked() for _ in range(10))
        assert sent[-1] > 0
        assert told(tmp_path / "haproxy", "set server shop/node2 state drain") == ""
        assert all(asked() for _ in range(10))
        assert len(set(sent[10:])) == 1
        assert told(tmp_path / "haproxy", "set server shop/node2 state ready") == ""
        assert all(asked() for _ in range(10))
    assert sent[-1] > sent[19]
    assert answers == [200] * 30


def _sent(folder: Path, node: str) -> int:
    """How many sessions HAProxy had with a node."""
    rows = [line.split(",") for line in told(folder, "show stat").splitlines()]
    column = rows[0].index("stot")
    return next(int(row[column]) for row in rows if row[:2] == [SHOP, node])


def test_a_node_is_killed_and_no_read_fails_and_nothing_is_lost(world: World, front: Running) -> None:
    """Writes that the dead node had may fail once, and are repeated with their keys."""

    async def bought() -> tuple[Load, list[str]]:
        async with Load(front.url, world.goods) as load:
            load.start()
            await until(lambda: len(load.seen) > 100)
            before = len(load.seen)
            await asyncio.to_thread(world.second.kill)
            await until(lambda: len(load.seen) > before + 200)
            await load.stop()
            verdict = await judge(world.shop, load, world.goods, {"confirmed"})
        return load, [*verdict.lost, *verdict.twice, *verdict.hanging]

    with ExitStack() as stack:
        readers = [stack.enter_context(Asking(front.url, PUBLIC, lambda: world.user)) for _ in range(READERS)]
        load, wrong = asyncio.run(bought())
    failed = Counter((one.what, one.told) for one in load.seen if one.told not in FINE)
    assert {status for one in readers for status in one.statuses} == {200}
    assert {(what, told) for what, told in failed if what not in WRITES or told != REFUSED} == set()
    assert wrong == []
