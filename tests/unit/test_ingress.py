"""HAProxy in front of the shop: what it says while there is nothing behind it."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import ray

from serve.ingress import haproxy
from tests.waiting import eventually

# Read, not imported: importing Serve takes seconds.
TEMPLATES = Path(ray.__file__).parent / "serve/_private/haproxy_templates.py"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where an HAProxy listens that has Serve's own rule for unknown paths and no application."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (rule,) = [line for line in TEMPLATES.read_text().splitlines() if "return status 404" in line]
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
        f"frontend shop\n    bind 127.0.0.1:{port}\n    default_backend default_backend\n"
        f"backend default_backend\n{rule}\n"
    )
    running = subprocess.Popen([haproxy(tmp_path), "-db", "-f", configuration])
    yield port
    running.kill()
    running.wait()


def test_who_comes_before_the_shop_is_there_is_told_to_try_again(port: int) -> None:
    def answered() -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/api/cart")
        except httpx.ConnectError:
            return None

    answer = eventually(answered)
    assert answer is not None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:troupe:problem:unavailable",
        "title": "Not available at the moment",
        "status": 503,
        "code": "unavailable",
        "detail": "The shop is about to open; please try again.",
    }
