"""What front doors know of the shop, and the files that `troupe gateway` writes."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serve.cli import gateway
from serve.cli.main import app
from serve.edge.aws import Balancer
from serve.edge.envoy import Choices as EnvoyChoices
from serve.edge.envoy import bootstrap
from serve.edge.front_door import EdgeError, Node, front_door, node
from serve.edge.haproxy import Choices, configuration
from serve.edge.written import write
from serve.settings import Settings
from tests.contract.edge import described, door_to

NODES = ["--node", "10.0.0.1:8000", "--node", "10.0.0.2:8000"]


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("POST", "/api/users/sessions/refresh", "open"),
        ("GET", "/.well-known/jwks.json", "open"),
        ("GET", "/api/catalog/products/{slug}", "checked"),
        ("GET", "/api/orders/{id}", "checked"),
        ("GET", "/api/users/me", "token"),
        ("POST", "/api/orders", "token"),
        ("GET", "/api/admin/changes", "staff"),
        ("PUT", "/api/admin/hosts", "staff"),
    ],
)
def test_who_may_call(method: str, path: str, access: str) -> None:
    operations = door_to([node("10.0.0.1:8000")]).operations
    assert [one.access for one in operations if (one.method, one.path) == (method, path)] == [access]


def test_words_go_before_parameters() -> None:
    paths = [one.path for one in door_to([node("10.0.0.1:8000")]).operations]
    assert paths.index("/api/users/sessions/current") < paths.index("/api/users/sessions/{id}")
    assert paths.index("/api/orders/carriers/{carrier}/webhooks") < paths.index("/api/orders/{id}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:8000", Node("10.0.0.1", 8000)),
        ("shop-1.example.com:80", Node("shop-1.example.com", 80)),
        ("[fd00::1]:8000", Node("fd00::1", 8000)),
    ],
)
def test_nodes_are_read_and_told_as_they_were(text: str, expected: Node) -> None:
    assert (node(text), str(expected)) == (expected, text)


@pytest.mark.parametrize(
    "text", ["", "shop", "shop:0", "shop:65536", "http://shop:80", "shop:80/x", "a b:80", "fd00::1:80"]
)
def test_what_is_no_node_is_refused(text: str) -> None:
    with pytest.raises(EdgeError, match="is no node such as"):
        node(text)


def test_services_that_are_unknown_or_have_no_node_are_refused() -> None:
    with pytest.raises(EdgeError, match=r"There is no service order; there are users, catalog"):
        front_door(described(), Settings(), [node("a:1")], {"order": [node("b:1")]})
    with pytest.raises(EdgeError, match=r"No node is named for carts, catalog, entities, notifications"):
        front_door(
            described(), Settings(), [], {"users": [node("a:1")], "orders": [node("a:1")], "payments": [node("a:1")]}
        )


def test_paths_that_would_be_several_words_are_refused() -> None:
    door = door_to([node("10.0.0.1:8000")])
    for path in ("/etc/a b.pem", "/etc/a\nbind *:1", "/etc/a#b"):
        with pytest.raises(EdgeError, match="letters, digits"):
            configuration(door, Choices(node("0.0.0.0:443"), certificate=Path(path)))


def test_a_file_is_its_owners_only_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write(file, "new")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `troupe gateway` on an empty data folder; the description is the last release's, which is made sooner."""

    async def at_once() -> Any:
        return described()

    monkeypatch.setattr("serve.describing.description", at_once)

    def with_arguments(*given: str) -> Any:
        return CliRunner().invoke(app, ["gateway", *given, "--data", str(tmp_path / "data")])

    return with_arguments


def test_envoy_has_its_bootstrap_and_the_guests_secret_beside_it(tmp_path: Path, run: Any) -> None:
    file = tmp_path / "envoy.json"
    done = run("envoy", str(file), *NODES, "--service", "orders=10.0.0.3:8000,10.0.0.4:8000", "--admin-port", "9901")
    assert (done.exit_code, done.exception) == (0, None)
    made = json.loads(file.read_text())
    guests = tmp_path / gateway.GUESTS
    assert json.loads(guests.read_text())["keys"][0]["alg"] == "HS256"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file, guests)] == [0o600, 0o600]
    assert str(guests) in file.read_text()
    clusters = {one["name"]: one for one in made["static_resources"]["clusters"]}
    assert list(clusters) == ["shop", "orders"]
    assert made["admin"] == {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}
    # The same keys are found again: nothing but the order of names could differ.
    before = guests.read_text()
    assert run("envoy", str(file), *NODES).exit_code == 0
    assert guests.read_text() == before


def test_kong_and_haproxy_have_their_files(tmp_path: Path, run: Any) -> None:
    assert run("kong", str(tmp_path / "kong.yml"), *NODES).exit_code == 0
    made = yaml.safe_load((tmp_path / "kong.yml").read_text())
    assert (made["_format_version"], [one["username"] for one in made["consumers"]]) == ("3.0", ["users", "guests"])
    done = run(
        "haproxy", str(tmp_path / "haproxy.cfg"), *NODES, "--listen", "[::]:443", "--certificate", "/etc/shop.pem"
    )
    assert done.exit_code == 0
    lines = (tmp_path / "haproxy.cfg").read_text().splitlines()
    assert "    bind [::]:443 ssl crt /etc/shop.pem alpn h2,http/1.1" in lines
    assert [line.strip() for line in lines if line.startswith("    server ")] == [
        "server node1 10.0.0.1:8000",
        "server node2 10.0.0.2:8000",
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["envoy", "x", "--node", "shop"], "is no node"),
        (["envoy", "x", "--node", "a:1", "--certificate", "c.pem"], "are given together"),
        (["kong", "x", "--node", "a:1", "--service", "order=a:1"], "There is no service order"),
        (["haproxy", "x", "--node", "a:1", "--socket", "a b"], "takes letters, digits"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, run: Any, given: list[str], says: str) -> None:
    done = run(given[0], str(tmp_path / given[1]), *given[2:])
    assert done.exit_code == 2
    assert says in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "x").exists()


def test_envoy_sends_no_write_twice_and_cuts_no_stream_off() -> None:
    made = bootstrap(door_to([node("10.0.0.1:8000")]), EnvoyChoices(node("0.0.0.0:443")), Path("/guests"))
    (chain,) = made["static_resources"]["listeners"][0]["filter_chains"]
    (host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    never_sent = "connect-failure,refused-stream,reset-before-request"
    for one in host["routes"]:
        again = f"{never_sent},reset" if "headers" in one["match"] else never_sent
        assert (one["route"]["retry_policy"]["retry_on"], one["route"]["timeout"]) == (again, "0s")
    assert {len(one["match"]) for one in host["routes"]} == {1, 2}


def test_without_the_keys_no_file_is_written(tmp_path: Path, run: Any) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "users.db").write_bytes(b"no database" * 100)
    done = run("kong", str(tmp_path / "kong.yml"), *NODES)
    assert (done.exit_code, "Is troupe setup done?" in done.output) == (1, True)
    assert not (tmp_path / "kong.yml").exists()


@pytest.mark.parametrize("name", ["", "-shop", "shop-", "a b", "x" * 33, "internal-shop"])
def test_what_is_no_balancers_name_is_refused(name: str) -> None:
    with pytest.raises(EdgeError, match="is no name for a balancer"):
        Balancer(None, name, print)
