"""What tests of front doors stand on: nodes that say what they were asked, tokens, and load on two nodes."""

import base64
import hmac
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

from deploy.servers.process import Guarded
from serve.edge.front_door import JWKS_PATH, READY_PATH, FrontDoor, Node, front_door
from serve.gateway.keys import KeyRing
from serve.gateway.tokens import ISSUER
from serve.settings import Settings
from tests.running import free_port
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
CUT_OFF = 0
"""Stands for a status where the connection was closed without an answer."""


def described() -> Any:
    """The description of the last release."""
    return json.loads((ROOT / "docs/openapi.json").read_text())


def door_to(nodes: list[Node], own: dict[str, list[Node]] | None = None, **given: Any) -> FrontDoor:
    """`given`: settings."""
    return front_door(described(), Settings(**given), nodes, own or {})


class Echo:
    """A node that publishes `jwks`, unless `is_ill`, and remembers what else it was asked."""

    def __init__(self, name: str, jwks: Any = None) -> None:
        self.name = name
        self.node = Node(HOST, free_port())
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.is_ill = False
        self.heard = threading.Semaphore(0)
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _all(self) -> None:
                if self.headers["Accept"] == "text/event-stream":
                    self._stream()
                    return
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = jwks if self.path == JWKS_PATH else {"node": echo.name}
                if self.path not in (JWKS_PATH, READY_PATH):
                    echo.asked.append(
                        (
                            self.command,
                            self.path,
                            {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers},
                        )
                    )
                body = json.dumps(answer).encode()
                self.send_response(503 if echo.is_ill and self.path == JWKS_PATH else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _stream(self) -> None:
                """Each piece once the one before was heard of."""
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for number in range(3):
                    self.wfile.write(b"data: %d\n\n" % number)
                    if not echo.heard.acquire(timeout=20):
                        return
                self.close_connection = True

            do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _all

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer((HOST, self.node.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def streamed(url: str, echo: Echo) -> list[str]:
    """What a stream through a front door said; nothing more comes before each piece was heard."""
    found = []
    with httpx.stream(
        "GET", f"{url}/api/orders/x1/events", headers={"Accept": "text/event-stream"}, timeout=10
    ) as answer:
        for line in answer.iter_lines():
            if line:
                found.append(line)
                echo.heard.release()
    return found


def signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """A token with an HMAC, whatever its header says."""
    parts = [_text(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, _text(hmac.new(key, ".".join(parts).encode(), sha256).digest())])


def bad_tokens(ring: KeyRing, good: str) -> dict[str, str]:
    """Tokens that must not open anything. `good`: a user's."""
    head, _, signature = good.split(".")
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "eve", "sid": "s", "roles": ["staff"], "iat": now, "exp": now + 200}
    user = {"typ": "at+jwt", "kid": ring.kid}
    # What everybody knows of the key may be tried as a secret.
    public = base64.urlsafe_b64decode(ring.jwks["keys"][0]["n"] + "==")
    changed = _text(json.dumps(claims).encode())
    guest = {"typ": "guest+jwt", "alg": "HS256"}
    return {
        "no token": "nonsense",
        "without a signature": f"{_text(json.dumps({**user, 'alg': 'none'}).encode())}.{changed}.",
        "another body": f"{head}.{changed}.{signature}",
        "the public key as a secret": signed({**user, "alg": "HS256"}, claims, public),
        "a secret's signature for RS256": signed({**user, "alg": "RS256"}, claims, ring.guest_secret),
        "another guests' secret": signed(guest, claims, b"y" * 32),
        "expired": signed(guest, {**claims, "exp": now - 60}, ring.guest_secret),
        "without an end": signed(guest, {k: v for k, v in claims.items() if k != "exp"}, ring.guest_secret),
        "another issuer": signed(guest, {**claims, "iss": "eve"}, ring.guest_secret),
    }


def raw(url: str, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    """The status for a path that no client library mends before it is sent."""
    address = httpx.URL(url)
    connection = http.client.HTTPConnection(address.host, address.port or 80, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


class SmallNode:
    """`tests.contract.edge_node`, as a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(HOST, free_port())
        self.notes = folder / f"{self.node.port}.notes"
        self.notes.touch()
        command = [sys.executable, "-m", "tests.contract.edge_node", str(self.node.port), str(self.notes)]
        self.process = Guarded(command, log=folder / f"{self.node.port}.log", folder=ROOT)
        eventually(lambda: self._answers(), 60.0)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://{self.node}{READY_PATH}", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def noted(*files: Path) -> list[str]:
    """Which writes were carried out, once for each time."""
    return [line for file in files for line in file.read_text().split()]


@contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[SmallNode, SmallNode]]:
    nodes: list[SmallNode] = []
    try:
        for _ in range(2):
            nodes.append(SmallNode(folder))
        yield nodes[0], nodes[1]
    finally:
        for one in nodes:
            one.process.kill()


class Load:
    """Reads and writes through a front door until the block ends; `answers` by what was asked."""

    SECONDS: ClassVar[float] = 30.0

    def __init__(self, url: str, headers: dict[str, str], *, read: str, write: str) -> None:
        self.answers: dict[str, list[tuple[str, int]]] = {"GET": [], "POST": []}
        self.ports: list[int] = []
        self._url, self._headers = url, headers
        self._paths = {"GET": read, "POST": write}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in ("GET", "GET", "POST")]

    def __enter__(self) -> Self:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join(30)

    def more(self, count: int) -> None:
        """Waits for so many more answers to reads and to writes."""
        wanted = {method: len(found) + count for method, found in self.answers.items()}
        eventually(lambda: all(len(self.answers[method]) >= most for method, most in wanted.items()), self.SECONDS)

    def failed(self, method: str) -> list[tuple[str, int]]:
        return [one for one in self.answers[method] if one[1] != 200]

    def _run(self, method: str) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=10) as client:
            number = 0
            while not self._over.is_set():
                number += 1
                key = f"{method}-{number}"
                body = b"{}" if method == "POST" else None
                headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
                try:
                    answer = client.request(method, self._paths[method], content=body, headers=headers)
                except httpx.RemoteProtocolError:
                    self.answers[method].append((key, CUT_OFF))
                    continue
                if answer.status_code == 200:
                    self.ports.append(answer.json()["port"])
                self.answers[method].append((key, answer.status_code))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
