"""cluster.yaml, as far as it can be checked without a cloud: Ray's own schema, and what it says about this repository.

Only functions of Ray that read text are called here; nothing is started and nobody is asked.
"""

import ast
import copy
import re
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts import scripts

from serve import cluster
from serve.cluster import Cluster
from serve.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
# Made anew at each start of a shop on one machine. On several, the token is a file that all of them have, and HAProxy
# is Ray's own, whose 404 while the shop opens is a matter of the load balancer in front.
PER_RUN = {"TROUPE_RUN", "RAY_AUTH_TOKEN", "RAY_SERVE_HAPROXY_BINARY_PATH"}
# On one machine these keep two shops apart; a machine of its own can have any.
OF_THE_MACHINE = re.compile(r"_PORT$|_LOC$|_PATH$|_BASE$|_FILE$|_MAXCONN$")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the check of cluster.yaml must ask nobody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return read


@pytest.fixture
def exported(config: dict[str, Any]) -> dict[str, str]:
    """The environment file that the set-up writes."""
    written = next(command for command in config["setup_commands"] if command.startswith("cat > ~/troupe.env"))
    return dict(re.findall(r"^export (\w+)=(.*)$", written, flags=re.MULTILINE))


@pytest.fixture
def on_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that `troupe run` gives Ray."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cluster, "_connections", lambda: 100)
    return Cluster(load(data_dir=tmp_path / "data"), lambda _: None)._environment()


def test_rays_schema_takes_it(config: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["head_node_type"] == "head"
    assert {name: kind["max_workers"] for name, kind in prepared["available_node_types"].items()} == {
        "head": 0,
        "worker": 0,
    }
    assert prepared["head_start_ray_commands"] == config["head_start_ray_commands"]


@pytest.mark.parametrize("place", [(), ("auth",), ("available_node_types", "head"), ("available_node_types", "worker")])
def test_rays_schema_refuses_what_it_does_not_know(config: dict[str, Any], place: tuple[str, ...]) -> None:
    broken = copy.deepcopy(config)
    part = broken
    for name in place:
        part = part[name]
    part["replicas"] = 2
    with pytest.raises(jsonschema.ValidationError, match="'replicas' was unexpected"):
        validate_config(prepare_config(broken))


def test_no_second_machine_is_promised_while_the_databases_are_files(config: dict[str, Any]) -> None:
    assert (config["max_workers"], config["available_node_types"]["worker"]["max_workers"]) == (0, 0)


def test_it_copies_what_is_there_and_no_data(config: dict[str, Any]) -> None:
    sources = [path for path in config["file_mounts"].values() if not path.startswith("~")]
    assert [path for path in sources if not (ROOT / path).exists()] == []
    assert {"data", ".", ".venv"}.isdisjoint(sources)


def test_it_sets_what_one_machine_sets(exported: dict[str, str], on_one_machine: dict[str, str]) -> None:
    assert on_one_machine.keys() - PER_RUN - exported.keys() == set()
    same = {name for name in on_one_machine if name not in PER_RUN and not OF_THE_MACHINE.search(name)}
    assert {name: exported[name] for name in same} == {name: on_one_machine[name] for name in same}


def test_its_ports_do_not_collide(exported: dict[str, str]) -> None:
    http = range(*(int(exported[f"RAY_SERVE_DIRECT_INGRESS_{end}_HTTP_PORT"]) for end in ("MIN", "MAX")))
    grpc = range(*(int(exported[f"RAY_SERVE_DIRECT_INGRESS_{end}_GRPC_PORT"]) for end in ("MIN", "MAX")))
    single = {int(exported[f"RAY_SERVE_HAPROXY_{name}_PORT"]) for name in ("STATS", "METRICS")} | {6379, 8076, 8000}
    assert len(set(http) | set(grpc) | single) == len(http) + len(grpc) + 5
    assert min(len(http), len(grpc)) >= cluster.REPLICA_PORTS


def test_its_settings_are_settings(exported: dict[str, str]) -> None:
    ours = {
        name.removeprefix("TROUPE_").lower(): value for name, value in exported.items() if name.startswith("TROUPE_")
    }
    assert set(ours) <= set(Settings.model_fields)
    assert Settings.model_validate(ours).hosts == 2


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_command_reads_the_environment_first(config: dict[str, Any], commands: str) -> None:
    assert [one for one in config[commands] if not one.startswith(". ~/troupe.env && ")] == []
    assert sum("ray start" in one for one in config[commands]) == 1


@pytest.mark.parametrize("commands", ["setup_commands", "head_start_ray_commands", "worker_start_ray_commands"])
def test_a_shell_can_read_every_command(config: dict[str, Any], commands: str) -> None:
    for command in config[commands]:
        # Wrapped as Ray wraps it.
        shell = ["bash", "-n", "-c", f"source ~/.bashrc; export PYTHONWARNINGS=ignore && ({command})"]
        assert subprocess.run(shell, capture_output=True, text=True, timeout=10, check=False).stderr == ""


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_knows_the_options(config: dict[str, Any], commands: str) -> None:
    command = next(one for one in config[commands] if "ray start" in one)
    options = shlex.split(command.partition("ray start ")[2])
    context = scripts.start.make_context("start", options)
    assert context.params["object_store_memory"] == cluster.OBJECT_STORE
    assert context.params["head"] is (commands == "head_start_ray_commands")


def test_what_opens_the_shop_is_there(config: dict[str, Any]) -> None:
    opening = config["head_start_ray_commands"][-1]
    program = ast.parse(re.search(r"python -c '\n(.*)'", opening, flags=re.DOTALL)[1])  # type: ignore[index]
    modules = [
        alias.name
        for node in ast.walk(program)
        if isinstance(node, ast.ImportFrom) and node.module == "serve"
        for alias in node.names
    ]
    assert len(modules) == 5
    for module in modules:
        used = {
            node.attr
            for node in ast.walk(program)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
        }
        assert used - defined(ROOT / "serve" / f"{module}.py") == set()


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
