"""The shop itself as a target: started on a folder of its own, or somewhere already and attached to."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.measure import Root, marked
from benchmarks.target import UNITS, Missing, answers, catalogue, finish, free_port, launch, wait_until
from serve.cli import access
from serve.settings import load

MARK = "BENCHMARK_MARK"
"""Set in the environment of all that is started: Ray's daemons leave their parent, but keep this."""
TOKEN = "BENCHMARK_STAFF_TOKEN"  # noqa: S105 - the name of a variable
AT_ONCE = 16
KNOWN_WITHIN = 60.0
# No rate limits: all of the load comes from one address.
VARIABLES = {"TROUPE_RATE_LIMITS": "false"}


class Troupe:
    """The shop by `python -m serve.cli.main run`, with the embedded profile."""

    name = "troupe"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = secrets.token_hex(8)
        self._seeded = False
        self.url = ""

    def start(self) -> None:
        """Starts the shop and waits until it is ready. Raises TimeoutError, RuntimeError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        log = self._folder / "troupe.log"
        command = [sys.executable, "-m", "serve.cli.main", "run", "--no-demo"]
        command += ["--port", str(port), "--data", str(self._folder / "data")]
        self._process = launch(command, log, {**self.variables(), MARK: self._mark})
        wait_until(lambda: answers(self.url), self.name, self._process, log, 180)
        if not self._seeded:
            # The token is made from the keys in the data folder, as the shop's own commands make theirs.
            given = {name.removeprefix("TROUPE_").lower(): value for name, value in self.variables().items()}
            settings = load(**{**given, "port": port, "data_dir": self._folder / "data"})
            asyncio.run(seed_shop(access.client(settings, AT_ONCE)))
            self._seeded = True

    def variables(self) -> dict[str, str]:
        """What is set for the shop."""
        return VARIABLES

    def skus(self) -> list[str]:
        """What is on sale."""
        return [str(product["sku"]) for product in catalogue()]

    def roots(self) -> list[Root]:
        """The command and Ray's daemons; the actors are their children."""
        return [Root("troupe", pid) for pid in marked(MARK, self._mark)]

    def stop(self) -> None:
        """Ends the shop as Ctrl-C does, and kills what of it is left after 60 s."""
        process, self._process = self._process, None
        if process is None:
            return
        finish(process, signal.SIGINT, seconds=60)
        for pid in marked(MARK, self._mark):
            try:
                psutil.Process(pid).kill()
            except psutil.NoSuchProcess:
                continue


class Attached:
    """A shop that runs already. What it sells is put on sale with the staff token in BENCHMARK_STAFF_TOKEN."""

    name = "troupe"

    def __init__(self, url: str, roots: list[Root]) -> None:
        self.url = url.rstrip("/")
        self._roots = roots
        self._seeded = False

    def start(self) -> None:
        """Puts the products on sale, once. Raises Missing."""
        if not answers(self.url):
            raise Missing(f"no shop is ready at {self.url}")
        if not self._seeded:
            token = os.environ.get(TOKEN)
            if token is None:
                raise Missing(f"set {TOKEN} to a staff token of the shop at {self.url}")
            headers = {"Authorization": f"Bearer {token}"}
            asyncio.run(seed_shop(httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60)))
            self._seeded = True

    def skus(self) -> list[str]:
        """What is on sale."""
        return [str(product["sku"]) for product in catalogue()]

    def roots(self) -> list[Root]:
        """The processes that the caller named."""
        return self._roots

    def stop(self) -> None:
        """Leaves it as it is."""


async def seed_shop(client: httpx.AsyncClient) -> None:
    """Puts the benchmark's products on sale through the staff's routes; what is there already stays.

    Raises (in a group) httpx.HTTPError.
    """
    some = asyncio.Semaphore(AT_ONCE)

    async def put(product: dict[str, str | int]) -> None:
        sku = product["sku"]
        async with some:
            stands = await client.get(f"/api/admin/stock/{sku}")
            if stands.is_success and stands.json()["available"] > UNITS // 2:
                return
            body = {"name": product["name"], "category": "Benchmark", "price": product["amount"]}
            (await client.put(f"/api/admin/products/{sku}", json=body)).raise_for_status()
            await receive(sku)

    async def receive(sku: str | int) -> None:
        # What carts and stock know of products follows the catalogue's events, a little later.
        until = time.monotonic() + KNOWN_WITHIN
        while True:
            received = await client.post(f"/api/admin/stock/{sku}/receipts", json={"quantity": UNITS})
            if "unknown_sku" not in received.text or time.monotonic() > until:
                received.raise_for_status()
                return
            await asyncio.sleep(0.1)

    async with client, asyncio.TaskGroup() as tasks:
        for product in catalogue():
            tasks.create_task(put(product))
