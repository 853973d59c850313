"""Starts that process for tests, and pulls its strings."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.running import free_port
from tests.waiting import eventually

READY_SECONDS = 60.0
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_EC2_METADATA_DISABLED": "true"}


class AwsWire:
    """The running process."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def mail_url(self) -> str:
        """For the setting TROUPE_MAIL_URL."""
        return f"ses://eu-west-1?endpoint={self.url}&configuration_set=shop"

    @property
    def texts_url(self) -> str:
        return f"sns://eu-west-1?endpoint={self.url}&sender=SHOP"

    def pull(self, string: str, given: Any = None) -> dict[str, Any]:
        """What it took so far. fault: what it does from now on, None: all is well; opted_out: numbers; reset."""
        answer = httpx.post(f"{self.url}/-/{string}", json=given, timeout=10.0)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def mails(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.pull("state")["mails"]
        return found

    def texts(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.pull("state")["texts"]
        return found


@contextmanager
def aws_wire(port: int = 0) -> Iterator[AwsWire]:
    """It runs until the block ends. `port`: 0: any."""
    port = port or free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.aws_wire", "--port", str(port)])
    made = AwsWire(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: process.poll() is not None or _is_ready(made), READY_SECONDS)
        assert process.poll() is None, "it did not start"
        yield made
    finally:
        process.kill()
        process.wait(10)


def _is_ready(made: AwsWire) -> bool:
    try:
        made.pull("state")
    except httpx.HTTPError:
        return False
    return True
