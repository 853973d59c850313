"""The shop itself as a target: started on a folder of its own, or somewhere already and attached to."""

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from benchmarks.measure import Root, marked
from benchmarks.target import UNITS, Missing, answers, catalogue, finish, free_port, launch, wait_until

MARK = "TROUPE_BENCHMARK"
"""Set in the environment of all that is started: Ray's daemons leave their parent, but keep this."""
STAFF = "benchmark@example.com"
TOKEN = "TROUPE_BENCHMARK_STAFF_TOKEN"  # noqa: S105 - the name of a variable
# No rate limits: the load comes from one address.
VARIABLES = {"TROUPE_RATE_LIMITS": "off", "TROUPE_DEMO": "false"}


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
        command = [
            sys.executable,
            "-m",
            "serve.cli.main",
            "run",
            "--port",
            str(port),
            "--data",
            str(self._folder / "data"),
        ]
        self._process = launch(command, log, {**VARIABLES, MARK: self._mark})
        wait_until(lambda: answers(self.url), self.name, self._process, log, 180)
        if not self._seeded:
            seed_shop(self.url, staff_token(self.url, self._folder / "data"))
            self._seeded = True

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
    """A shop that runs already. What it sells is put on sale with the staff token in TROUPE_BENCHMARK_STAFF_TOKEN."""

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
            seed_shop(self.url, token)
            self._seeded = True

    def skus(self) -> list[str]:
        """What is on sale."""
        return [str(product["sku"]) for product in catalogue()]

    def roots(self) -> list[Root]:
        """The processes that the caller named."""
        return self._roots

    def stop(self) -> None:
        """Leaves it as it is."""


def staff_token(url: str, data: Path) -> str:
    """Makes a member of staff by the shop's own command, and logs in. Raises RuntimeError."""
    password = secrets.token_urlsafe(24)
    command = [sys.executable, "-m", "serve.cli.main", "staff", "add", STAFF, "--data", str(data)]
    made = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "TROUPE_STAFF_PASSWORD": password}
    )
    if made.returncode:
        raise RuntimeError(f"no member of staff could be made: {made.stderr.strip()}")
    answer = httpx.post(f"{url}/api/users/sessions", json={"email": STAFF, "password": password}, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def seed_shop(url: str, token: str) -> None:
    """Puts the benchmark's products on sale through the staff's routes. Raises httpx.HTTPStatusError."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for product in catalogue():
            sku = product["sku"]
            body = {"name": product["name"], "category": "Benchmark", "price": product["amount"]}
            client.put(f"/api/admin/products/{sku}", json=body).raise_for_status()
            stands = client.get(f"/api/admin/stock/{sku}")
            if stands.status_code == 404 or stands.json().get("available", 0) < UNITS // 2:
                client.post(f"/api/admin/stock/{sku}/receipts", json={"quantity": UNITS}).raise_for_status()
