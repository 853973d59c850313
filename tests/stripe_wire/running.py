"""Starts that process for tests, and pulls its strings."""

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.waiting import eventually

READY_SECONDS = 60.0


class Wire:
    """The running process. `account`: whose strings are pulled, by its secret key."""

    def __init__(self, url: str) -> None:
        self.url = url

    def state(self, account: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/-/state", headers=_bearer(account), timeout=10.0)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def pull(self, account: str, string: str, given: Any) -> Any:
        answer = httpx.post(f"{self.url}/-/{string}", json=given, headers=_bearer(account), timeout=10.0)
        return answer.raise_for_status().json()


def new_account() -> str:
    """A secret key that nobody has used."""
    return f"sk_test_{secrets.token_hex(8)}"


def _bearer(account: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {account}"}


@contextmanager
def wire() -> Iterator[Wire]:
    """It runs until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-m", "tests.stripe_wire", "--port", str(port)])
    made = Wire(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: process.poll() is not None or _is_ready(made), READY_SECONDS)
        assert process.poll() is None, "the gateway did not start"
        yield made
    finally:
        process.kill()
        process.wait(10)


def _is_ready(made: Wire) -> bool:
    try:
        return httpx.get(f"{made.url}/-/ready", timeout=2.0).is_success
    except httpx.HTTPError:
        return False
