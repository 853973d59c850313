"""HAProxy in front of the shop: what the shop changes in the configuration that Serve writes for it."""

import json
import runpy
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jinja2
import psutil
import pytest
import ray

from serve.ingress import haproxy
from tests.waiting import eventually

# Read, not imported: importing Serve takes seconds.
TEMPLATES = Path(ray.__file__).parent / "serve/_private/haproxy_templates.py"
Proxied = Callable[[list[int]], "Proxy"]


class Proxy:
    """An HAProxy of Serve's own template, mended; `replicas`: the ports of what stands behind it."""

    def __init__(self, folder: Path, replicas: list[int]) -> None:
        self.port, self.stats, self.metrics = _free_ports(3)
        self._configuration = folder / "haproxy.cfg"
        self._configuration.write_text(self._rendered(folder, replicas))
        self._program = haproxy(folder)
        self._running = subprocess.Popen([self._program, "-db", "-f", self._configuration])

    def _rendered(self, folder: Path, replicas: list[int]) -> str:
        seconds = {f"timeout_{name}_s": 5 for name in ("connect", "client", "server", "http_request", "queue")}
        config = SimpleNamespace(
            **seconds,
            timeout_http_keep_alive_s=5,
            log_target="stdout format raw",
            socket_path=folder / "admin.sock",
            maxconn=100,
            nbthread=1,
            bufsize=16384,
            hard_stop_after_s=1,
            close_spread_time_s=None,
            retry_on="conn-failure",
            retries=None,
            balance_algorithm="leastconn",
            frontend_host="127.0.0.1",
            frontend_port=self.port,
            stats_port=self.stats,
            stats_uri="/stats",
            metrics_port=self.metrics,
            metrics_uri="/metrics",
            error_file_path=folder / "500.http",
        )
        servers = [SimpleNamespace(name=f"replica-{port}", host="127.0.0.1", port=port) for port in replicas]
        backend = SimpleNamespace(**seconds, name="shop", path_prefix="/", servers=servers, fallback_server=None)
        for name in ("timeout_http_keep_alive_s", "timeout_tunnel_s"):
            setattr(backend, name, None)
        environment = jinja2.Environment(keep_trailing_newline=True)
        environment.filters["haproxy_fmt"] = str
        health = SimpleNamespace(health_path=None, default_server_directive="default-server check")
        return environment.from_string(runpy.run_path(str(TEMPLATES))["HAPROXY_CONFIG_TEMPLATE"]).render(
            config=config,
            route_info=SimpleNamespace(status=200, routes_content_type="text/plain", routes_message="-"),
            backends=[backend] if replicas else [],
            backends_with_health_config=[{"backend": backend, "health_config": health}] if replicas else [],
            healthz_rules="",
        )

    def check_again(self) -> None:
        """As Serve does before it lets a running HAProxy read a new file: the file goes through the program again."""
        subprocess.run([self._program, "-c", "-f", self._configuration], check=True, timeout=30)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        def answered() -> httpx.Response | None:
            if self._running.poll() is not None:
                pytest.fail("HAProxy does not take its configuration")
            try:
                return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)
            except httpx.ConnectError:
                return None

        answer = eventually(answered, 20.0)
        assert answer is not None
        return answer

    def listens_at(self) -> set[tuple[str, int]]:
        """Its program and what that started."""
        first = psutil.Process(self._running.pid)
        connections = [one for process in (first, *first.children()) for one in process.net_connections("tcp")]
        return {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}

    def close(self) -> None:
        self._running.kill()
        self._running.wait()


class _Echo(BaseHTTPRequestHandler):
    """Answers with the X-Forwarded-For lines that reached it."""

    def do_GET(self) -> None:
        body = json.dumps(self.headers.get_all("X-Forwarded-For", [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def _replica(handler: type[_Echo] = _Echo) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def _dying() -> Iterator[tuple[int, list[str]]]:
    """Its port, and the methods of what it was asked and did not answer."""
    asked: list[str] = []

    class Dying(_Echo):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.close_connection = True

        do_POST = do_GET

    with _replica(Dying) as port:
        yield port, asked


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    started: list[Proxy] = []

    def start(replicas: list[int]) -> Proxy:
        started.append(Proxy(tmp_path, replicas))
        return started[-1]

    yield start
    for one in started:
        one.close()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_who_comes_before_the_shop_is_there_is_told_to_try_again(proxied: Proxied) -> None:
    answer = proxied([]).get("/api/cart")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:troupe:problem:unavailable",
        "title": "Not available at the moment",
        "status": 503,
        "code": "unavailable",
        "detail": "The shop is about to open; please try again.",
    }


def test_nobody_but_this_machine_reaches_the_pages_about_haproxy_itself(proxied: Proxied) -> None:
    proxy = proxied([])
    proxy.get("/api/cart")
    assert proxy.listens_at() == {("127.0.0.1", port) for port in (proxy.port, proxy.stats, proxy.metrics)}


def test_the_shop_is_told_who_calls_behind_whatever_the_caller_says(proxied: Proxied) -> None:
    with _replica() as port:
        proxy = proxied([port])
        assert proxy.get("/api/cart").json() == ["127.0.0.1"]
        assert proxy.get("/api/cart", {"X-Forwarded-For": "1.2.3.4"}).json() == ["1.2.3.4", "127.0.0.1"]


def test_what_reads_is_asked_again_when_a_replica_dies_under_it_and_what_writes_is_not(proxied: Proxied) -> None:
    with _replica() as port, _dying() as (other, asked):
        proxy = proxied([port, other])
        assert [proxy.get("/api/cart").status_code for _ in range(6)] == [200] * 6
        assert "GET" in asked
        posted = [httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders") for _ in range(6)]
    cut = [one for one in posted if one.status_code != 501]  # what the other replica says to a POST
    assert asked.count("POST") == len(cut) > 0
    assert {(one.status_code, one.headers["retry-after"], one.json()["code"]) for one in cut} == {
        (503, "1", "unavailable")
    }


def test_a_configuration_that_is_mended_already_stays_as_it_is(proxied: Proxied, tmp_path: Path) -> None:
    proxy = proxied([])
    proxy.get("/api/cart")
    mended = (tmp_path / "haproxy.cfg").read_text()
    proxy.check_again()
    assert (tmp_path / "haproxy.cfg").read_text() == mended
    assert mended.count("option forwardfor") == 1
