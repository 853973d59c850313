"""What is measured: something that is started, filled with products, and driven at a URL."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.measure import Root

PRODUCTS = 1_000
UNITS = 1_000_000_000
"""In stock of every product: no run sells out."""
PLACE = Path(__file__).resolve().parent.parent


class Missing(Exception):
    """A target cannot be measured here; the argument says which part is not there and what to do."""


class Target(Protocol):
    """One system under load. `start` after `stop` finds the data of before."""

    name: str
    url: str

    def start(self) -> None:
        """Starts it, with products on sale. Raises Missing, TimeoutError."""

    def skus(self) -> list[str]:
        """What is on sale; the first one is the hot one."""

    def roots(self) -> list[Root]:
        """The process trees that do its work; none if it runs elsewhere."""

    def stop(self) -> None:
        """Ends what `start` started; does nothing if nothing runs."""


def catalogue(products: int = PRODUCTS) -> list[dict[str, str | int]]:
    """The products that every target sells: sku, name, amount in minor units."""
    return [
        {"sku": f"BENCH-{n:04}", "name": f"Benchmark product {n}", "amount": 250 + n * 37 % 5_000}
        for n in range(products)
    ]


def end_when_told() -> None:
    """From now on SIGTERM ends this process as Ctrl-C does: what it started is stopped and does not outlive it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts a program of the project in a session of its own, its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PLACE,
            env={**os.environ, **(variables or {})},
            start_new_session=True,
        )


def finish(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> None:
    """Asks a program to end, and kills it if it has not after `seconds`."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None, log: Path, seconds: float
) -> None:
    """Waits for `ready`. Raises TimeoutError after `seconds`, RuntimeError if the process ended; both show the log."""
    end = time.monotonic() + seconds
    while not ready():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready after {seconds:g} s:\n{_tail(log)}")
        time.sleep(0.1)


def answers(url: str, path: str = "/api/health/ready") -> bool:
    """Whether a GET is answered with 200 within two seconds."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
