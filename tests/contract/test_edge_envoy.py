"""A real Envoy with the bootstrap that `troupe gateway envoy` writes, in front of nodes that tell what reaches them."""

import asyncio
import re
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from serve.edge.front_door import EVERYWHERE, JWKS_PATH, FrontDoor, Operation
from serve.gateway.keys import GivenKeys, KeyRing, Keys, new_pem
from serve.gateway.tokens import Tokens
from serve.paths import PATHS
from tests.contract.certificates import self_signed
from tests.contract.edge import Echo, Load, bad_tokens, door_to, noted, raw, streamed, two_nodes
from tests.contract.edge_envoy import envoy
from tests.waiting import eventually

pytestmark = pytest.mark.servers

STAFF = "/api/admin/orders"


class Bearers(NamedTuple):
    ring: KeyRing
    user: str
    guest: str


@pytest.fixture(scope="module")
def bearers() -> Bearers:
    """Tokens of a shop whose keys were given."""
    engine = sa.create_engine("sqlite://")
    keys = Keys(engine, given=GivenKeys(new_pem(), b"a secret of more than 32 letters for guests"))

    async def made() -> Bearers:
        tokens = Tokens(keys)
        return Bearers(await keys.ring(), await tokens.access("ada", ["staff"], "s"), await tokens.guest("c1"))

    try:
        return asyncio.run(made())
    finally:
        engine.dispose()


class World(NamedTuple):
    door: FrontDoor
    nodes: dict[str, Echo]
    web: httpx.Client

    def ask(self, operation: Operation, token: str | None) -> tuple[int, list[str]]:
        """The status, and which nodes were asked."""
        for one in self.nodes.values():
            one.asked.clear()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        path = re.sub(r"{\w+}", "x1", operation.path)
        answer = self.web.request(operation.method, path, headers=headers)
        return answer.status_code, [name for name, one in self.nodes.items() if one.asked]


@pytest.fixture(scope="module")
def world(bearers: Bearers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Each service on a node of its own."""
    with ExitStack() as stack:
        nodes = {name: stack.enter_context(Echo(name, bearers.ring.jwks)) for name in (*PATHS, EVERYWHERE)}
        own = {name: [nodes[name].node] for name in PATHS}
        door = door_to([nodes[EVERYWHERE].node], own, rate_limits=False)
        folder = tmp_path_factory.mktemp("envoy")
        running = stack.enter_context(envoy(folder, door, bearers.ring.guest_secret))
        yield World(door, nodes, stack.enter_context(httpx.Client(base_url=running.url, timeout=10)))


@pytest.mark.parametrize("bearer", ["user", "guest", "nobody", "forger"])
def test_each_operation_reaches_its_service_or_nobody(world: World, bearers: Bearers, bearer: str) -> None:
    token = {"user": bearers.user, "guest": bearers.guest, "nobody": None, "forger": "nonsense"}[bearer]
    passes = {
        "user": {"open", "checked", "token", "staff"},
        "guest": {"open", "checked", "token"},
        "nobody": {"open", "checked"},
        "forger": {"open"},
    }[bearer]
    wrong = {}
    for one in world.door.operations:
        if one.path == JWKS_PATH:
            continue  # Envoy itself asks for it, too
        expected = (200, [one.service]) if one.access in passes else (401, [])
        if (found := world.ask(one, token)) != expected:
            wrong[f"{one.method} {one.path}"] = (found, expected)
    assert wrong == {}
    assert {one.access for one in world.door.operations} == {"open", "checked", "token", "staff"}


def test_bad_tokens_open_nothing(world: World, bearers: Bearers) -> None:
    orders = next(one for one in world.door.operations if (one.method, one.path) == ("GET", "/api/orders"))
    cart = next(one for one in world.door.operations if (one.method, one.path) == ("GET", "/api/cart"))
    bad = bad_tokens(bearers.ring, bearers.user)
    assert {name: world.ask(orders, token) for name, token in bad.items()} == dict.fromkeys(bad, (401, []))
    assert {name: world.ask(cart, token) for name, token in bad.items()} == dict.fromkeys(bad, (401, []))
    in_the_address = world.web.get("/api/orders", params={"access_token": bearers.user})
    assert in_the_address.status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/admin/nothing", 401),
        ("/api/%61dmin/orders", 401),
        ("/api//admin/orders", 401),
        ("/api/cart/../admin/orders", 401),
        ("/api/cart/%2e%2e/admin/orders", 401),
        ("/api/admin%2forders", 400),
        ("/metrics", 404),
        ("/api/health/ready", 404),
        ("/-/routes", 404),
        ("/api/cartoons", 404),
        ("/openapi.json", 200),
    ],
)
def test_other_ways_to_write_a_path_open_nothing(world: World, path: str, status: int) -> None:
    assert raw(str(world.web.base_url), "GET", path) == status


def test_what_envoy_answers_is_a_problem_of_the_shops(world: World) -> None:
    answer = world.web.get(STAFF, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json() == {
        "type": "urn:troupe:problem:not_authenticated",
        "title": "Authentication needed",
        "status": 401,
        "code": "not_authenticated",
        "detail": "Send a good token: Authorization: Bearer ...",
        "request_id": "mine-1",
    }
    large = world.web.post("/api/cart/items", content=b"x" * (world.door.max_body + 1))
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")


def test_the_shop_is_told_who_calls_and_is_asked_before_a_page_calls(world: World) -> None:
    preflight = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "GET"}
    assert world.web.options("/api/orders", headers=preflight).status_code == 200
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    lies = {"X-Forwarded-For": "203.0.113.7", "X-Envoy-Retry-On": "5xx"}
    with httpx.Client(transport=transport, base_url=world.web.base_url, timeout=10) as client:
        assert client.get("/api/catalog/products", headers=lies).status_code == 200
    _, _, headers = world.nodes["catalog"].asked[-1]
    assert headers["x-forwarded-for"] == "203.0.113.7,127.0.0.9"
    assert "x-envoy-retry-on" not in headers


def test_an_address_that_calls_too_often_waits_and_others_do_not(bearers: Bearers, tmp_path: Path) -> None:
    few: dict[str, Any] = {"rate_per_minute": 2, "rate_burst": 2, "rate_address_factor": 2}
    with Echo("all", bearers.ring.jwks) as node:
        door = door_to([node.node], **few)
        with envoy(tmp_path / "envoy", door, bearers.ring.guest_secret) as running:

            def statuses(last: int, method: str, path: str, count: int) -> list[int]:
                transport = httpx.HTTPTransport(local_address=f"127.0.0.{last}")
                with httpx.Client(transport=transport, base_url=running.url, timeout=10) as client:
                    headers = {"X-Forwarded-For": "203.0.113.7"}
                    answers = [client.request(method, path, headers=headers) for _ in range(count)]
                for one in answers:
                    if one.status_code == 429:
                        assert (one.headers["retry-after"], one.json()["code"]) == ("1", "rate_limited")
                return [one.status_code for one in answers]

            assert statuses(2, "GET", "/api/catalog/products", 6) == [200] * 4 + [429] * 2
            assert statuses(3, "GET", "/api/catalog/products", 1) == [200]
            assert statuses(2, "POST", "/api/cart/items", 5) == [200] * 4 + [429]
            assert statuses(2, "GET", STAFF, 5) == [401] * 4 + [429]


def test_keys_are_kept_while_the_shop_does_not_publish_them(bearers: Bearers, tmp_path: Path) -> None:
    with Echo("all") as node, Echo("users", bearers.ring.jwks) as users:
        door = door_to([node.node], {"users": [users.node]}, rate_limits=False)
        with envoy(tmp_path / "envoy", door, bearers.ring.guest_secret, jwks_seconds=1) as running:
            users.is_ill = True
            eventually(lambda: running.stat("jwks_fetch_failed") > 1, 30.0)
            headers = {"Authorization": f"Bearer {bearers.user}"}
            assert httpx.get(f"{running.url}/api/orders", headers=headers, timeout=10).status_code == 200


def test_streams_come_as_they_are_sent(world: World) -> None:
    assert streamed(str(world.web.base_url), world.nodes["orders"]) == ["data: 0", "data: 1", "data: 2"]


def test_it_speaks_tls(bearers: Bearers, tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    with Echo("all", bearers.ring.jwks) as node:
        door, secret = door_to([node.node]), bearers.ring.guest_secret
        with envoy(tmp_path / "envoy", door, secret, certificate=pair.certificate, key=pair.key) as running:
            answer = httpx.get(running.url.replace("http:", "https:") + READ, verify=trust, timeout=10)
            assert answer.json() == {"node": "all"}
            with pytest.raises(httpx.HTTPError):
                httpx.get(running.url + READ, timeout=10)
    assert node.asked[-1][2]["x-forwarded-proto"] == "https"


READ, WRITE = "/api/catalog/products", "/api/payments/webhooks/test"


def test_a_node_that_is_killed_fails_no_read_and_no_write_runs_twice(bearers: Bearers, tmp_path: Path) -> None:
    with two_nodes(tmp_path) as (first, second), Echo("users", bearers.ring.jwks) as users:
        door = door_to([first.node, second.node], {"users": [users.node]}, rate_limits=False)
        with (
            envoy(tmp_path / "envoy", door, bearers.ring.guest_secret) as running,
            Load(running.url, {}, read=READ, write=WRITE) as load,
        ):
            load.more(50)
            first.process.kill()
            load.more(100)
    assert {first.node.port, second.node.port} <= set(load.ports)
    assert load.failed("GET") == []
    # Writes are sent one at a time: only one may have been cut off, and then nobody knows whether it was carried out.
    assert [status for _, status in load.failed("POST")] in ([], [503])
    carried_out = noted(first.notes, second.notes)
    assert len(carried_out) == len(set(carried_out))
    assert {key for key, status in load.answers["POST"] if status == 200} <= set(carried_out)


def test_a_node_that_closes_in_order_fails_nothing(bearers: Bearers, tmp_path: Path) -> None:
    with two_nodes(tmp_path) as (first, second), Echo("users", bearers.ring.jwks) as users:
        door = door_to([first.node, second.node], {"users": [users.node]}, rate_limits=False)
        with (
            envoy(tmp_path / "envoy", door, bearers.ring.guest_secret) as running,
            Load(running.url, {}, read=READ, write=WRITE) as load,
        ):
            load.more(50)
            first.process.send(signal.SIGTERM)
            assert first.process.wait(20) == 0
            load.more(50)
    assert (load.failed("GET"), load.failed("POST")) == ([], [])
    carried_out = noted(first.notes, second.notes)
    assert sorted(carried_out) == sorted(key for key, _ in load.answers["POST"])
