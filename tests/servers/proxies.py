"""toxiproxy between the shop and its servers: delays, resets and black holes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

SECONDS = 10.0
Toxic = dict[str, Any]

BLACK_HOLE: tuple[Toxic, ...] = tuple(
    {"type": "timeout", "stream": stream, "attributes": {"timeout": 0}} for stream in ("upstream", "downstream")
)
"""Nothing comes through, either way, and nobody says so."""
RESET: tuple[Toxic, ...] = tuple(
    {"type": "reset_peer", "stream": stream, "attributes": {"timeout": 0}} for stream in ("upstream", "downstream")
)
"""Connections are reset, new ones too."""


def latency(milliseconds: int) -> tuple[Toxic, ...]:
    """Every answer comes so much later."""
    return ({"type": "latency", "stream": "downstream", "attributes": {"latency": milliseconds}},)


class Proxies:
    """A toxiproxy that runs already; a proxy has the name of its server."""

    def __init__(self, url: str) -> None:
        # Anything that looks like a browser is refused.
        self._web = httpx.Client(base_url=url, timeout=SECONDS, headers={"User-Agent": "troupe-tests"})

    def add(self, name: str, listen: str, upstream: str) -> None:
        """From now on what is sent to `listen` goes to `upstream`."""
        self._post("/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})

    @contextmanager
    def toxic(self, name: str, toxics: tuple[Toxic, ...]) -> Iterator[None]:
        """So it is within; after it new connections are as ever, and those that were poisoned are closed."""
        for number, toxic in enumerate(toxics):
            self._post(f"/proxies/{name}/toxics", {"name": f"toxic-{number}", **toxic})
        try:
            yield
        finally:
            for number in range(len(toxics)):
                self._web.delete(f"/proxies/{name}/toxics/toxic-{number}").raise_for_status()

    def close(self) -> None:
        self._web.close()

    def _post(self, path: str, body: Toxic) -> None:
        answer = self._web.post(path, json=body)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
