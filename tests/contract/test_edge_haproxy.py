"""A real HAProxy with the configuration that `troupe gateway haproxy` writes, over two nodes."""

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.servers.haproxy import HAProxyServer
from serve.edge.front_door import FrontDoor, Node
from serve.edge.haproxy import Choices, configuration
from tests.contract.certificates import self_signed
from tests.contract.edge import CUT_OFF, HOST, Echo, Load, SmallNode, door_to, noted, raw, streamed, two_nodes
from tests.running import free_port
from tests.servers import address

pytestmark = pytest.mark.servers

READ, WRITE = "/api/catalog/products", "/api/payments/webhooks/test"


@contextmanager
def haproxy(folder: Path, door: FrontDoor, certificate: Path | None = None) -> Iterator[str]:
    folder.mkdir()
    port = free_port()
    made = configuration(door, Choices(Node(HOST, port), certificate, folder / "sock"))
    server = HAProxyServer(address("HAPROXY"), folder, port, made)
    server.start(60)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.kill()


def told(folder: Path, order: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(folder / "sock"))
        connection.sendall(f"{order}\n".encode())
        return connection.makefile().read().strip()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[SmallNode, SmallNode]]:
    with two_nodes(tmp_path) as both:
        yield both


def test_a_node_that_is_killed_fails_no_read_and_no_write_runs_twice(
    nodes: tuple[SmallNode, SmallNode], tmp_path: Path
) -> None:
    first, second = nodes
    with (
        haproxy(tmp_path / "haproxy", door_to([first.node, second.node])) as url,
        Load(url, {}, read=READ, write=WRITE) as load,
    ):
        load.more(50)
        first.process.kill()
        load.more(100)
    assert {first.node.port, second.node.port} <= set(load.ports)
    assert load.failed("GET") == []
    # Writes are sent one at a time: one at most was cut off, and then nobody knows whether it was carried out. HAProxy
    # says so by closing a connection that had answers before.
    assert [status for _, status in load.failed("POST")] in ([], [502], [CUT_OFF])
    carried_out = noted(first.notes, second.notes)
    assert len(carried_out) == len(set(carried_out))
    assert {key for key, status in load.answers["POST"] if status == 200} <= set(carried_out)


def test_a_node_that_closes_in_order_fails_nothing(nodes: tuple[SmallNode, SmallNode], tmp_path: Path) -> None:
    first, second = nodes
    with (
        haproxy(tmp_path / "haproxy", door_to([first.node, second.node])) as url,
        Load(url, {}, read=READ, write=WRITE) as load,
    ):
        load.more(50)
        first.process.send(signal.SIGTERM)
        assert first.process.wait(20) == 0
        load.more(50)
    assert (load.failed("GET"), load.failed("POST")) == ([], [])
    assert sorted(noted(first.notes, second.notes)) == sorted(key for key, _ in load.answers["POST"])


def test_a_node_is_drained_by_order_and_comes_back(nodes: tuple[SmallNode, SmallNode], tmp_path: Path) -> None:
    first, second = nodes
    with (
        haproxy(tmp_path / "haproxy", door_to([first.node, second.node])) as url,
        Load(url, {}, read=READ, write=WRITE) as load,
    ):
        load.more(20)
        assert told(tmp_path / "haproxy", "set server shop/node1 state drain") == ""
        load.more(20)  # what had been sent to it before
        load.ports.clear()
        load.more(50)
        while_drained = set(load.ports)
        assert told(tmp_path / "haproxy", "set server shop/node1 state ready") == ""
        load.ports.clear()
        load.more(50)
    assert while_drained == {second.node.port}
    assert first.node.port in load.ports
    assert (load.failed("GET"), load.failed("POST")) == ([], [])


def test_services_with_nodes_of_their_own_and_what_is_not_for_the_world(tmp_path: Path) -> None:
    with Echo("all") as usual, Echo("orders") as orders:
        door = door_to([usual.node], {"orders": [orders.node]})
        with haproxy(tmp_path / "haproxy", door) as url, httpx.Client(base_url=url, timeout=10) as web:
            paths = ("/api/orders", "/api/orders/x/events", "/api/admin/stock/MUG", "/api/ordersome", "/api/cart")
            answered = {
                path: web.get(path, headers={"X-Forwarded-For": "203.0.113.7"}).json()["node"] for path in paths
            }
            hidden = {path: raw(url, "GET", path) for path in ("/metrics", "/api/health/ready", "/-/routes")}
        forwarded = [headers["x-forwarded-for"] for _, _, headers in orders.asked]
    assert answered == dict(zip(paths, ["orders"] * 3 + ["all"] * 2, strict=True))
    assert hidden == dict.fromkeys(hidden, 404)
    # The client's own line stays before HAProxy's; the shop reads from the right.
    assert forwarded == ["203.0.113.7, 127.0.0.1"] * 3


def test_streams_come_as_they_are_sent_and_it_speaks_tls(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    with Echo("all") as node:
        with haproxy(tmp_path / "plain", door_to([node.node])) as url:
            assert streamed(url, node) == ["data: 0", "data: 1", "data: 2"]
        with haproxy(tmp_path / "tls", door_to([node.node]), pair.both) as url:
            trust = ssl.create_default_context(cafile=str(pair.certificate))
            answer = httpx.get(url.replace("http:", "https:") + READ, verify=trust, timeout=10)
    assert answer.json() == {"node": "all"}
