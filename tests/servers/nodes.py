"""A second Ray node for a shop that runs, on the same machine: a web replica behind an HAProxy of its own."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import httpx
import psutil

from serve.edge.front_door import READY_PATH, Node
from serve.gateway.keys import Keys
from serve.users.store import open_engine
from tests.contract.edge import HOST, ROOT, door_to
from tests.contract.edge_envoy import envoy
from tests.running import RunningShop, end, free_port
from tests.waiting import eventually

SECONDS = 300.0
START = "from ray.scripts.scripts import main; main()"
DEPLOY = """
import sys, ray
from serve import app, cluster, kept_secrets, settings
ray.init(address=sys.argv[1], namespace="troupe", logging_level="warning")
app.deploy(kept_secrets.with_secrets(settings.load()), cluster.APPLICATION, replicas=2)
"""


class Door:
    """`with Door(shop) as door:` a second node, and an Envoy in front of both, on a port of its own that stays."""

    def __init__(self, shop: RunningShop, program: str) -> None:
        self._shop, self._program = shop, program
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self.second = SecondNode(self._shop)
            self.second.start()
            nodes = [Node(HOST, self._shop.port), self.second.address]
            engine = open_engine(self._shop.settings.database_url("users"))
            opened.callback(engine.dispose)
            secret = asyncio.run(Keys(engine).ring()).guest_secret
            folder = Path(opened.enter_context(TemporaryDirectory(prefix="troupe-envoy-")))
            door = door_to(nodes, rate_limits=False)
            self.envoy = opened.enter_context(envoy(folder, door, secret, program=self._program))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class SecondNode:
    """`address`: where its HAProxy listens. What it starts is marked as the shop's, and ends with it."""

    def __init__(self, shop: RunningShop) -> None:
        self.address = Node(HOST, free_port())
        self._shop = shop
        self._ray, self._environment = shop.ray()
        self._raylet = 0

    def start(self) -> None:
        """Joins, and waits until both nodes answer with a replica each."""
        ports = {"WORKER_PROXY_HTTP": self.address.port, "HAPROXY_STATS": free_port(), "HAPROXY_METRICS": free_port()}
        own = {f"RAY_SERVE_{name}_PORT": str(port) for name, port in ports.items()}
        options = [f"--address={self._ray}", f"--node-ip-address={HOST}", "--num-cpus=4"]
        before = {one.pid for one in self._shop.titled("raylet")}
        self._run([START, "start", *options, f"--object-store-memory={2**27}"], own)
        (self._raylet,) = {one.pid for one in self._shop.titled("raylet")} - before
        self._run([DEPLOY, self._ray], {})
        eventually(self._is_ready, SECONDS)

    def kill(self) -> None:
        """kill -9 of all that runs there, as when the machine dies."""
        raylet = psutil.Process(self._raylet)
        for process in [raylet, *raylet.children(recursive=True)]:
            end(process)

    def _run(self, program: list[str], more: dict[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-c", *program],
            env={**self._environment, **more},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.address}{READY_PATH}", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
