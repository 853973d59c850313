"""An Envoy that runs with the bootstrap that `troupe gateway envoy` writes."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from deploy.servers.envoy import EnvoyServer
from serve.edge.envoy import Choices, bootstrap
from serve.edge.envoy_tokens import guests_keys
from serve.edge.front_door import FrontDoor, Node
from serve.edge.written import write
from tests.contract.edge import HOST
from tests.running import free_port
from tests.servers import address


class Running(NamedTuple):
    url: str
    server: EnvoyServer

    def stat(self, name: str) -> int:
        """A counter of Envoy's own."""
        text = httpx.get(f"http://{self.server.address}/stats", params={"filter": f"{name}$"}, timeout=5).text
        return sum(int(one) for one in re.findall(r": (\d+)$", text, flags=re.MULTILINE))


@contextmanager
def envoy(
    folder: Path, door: FrontDoor, guest_secret: bytes, *, program: str = "", **choices: Any
) -> Iterator[Running]:
    """`program`: its address, if not that of this run."""
    folder.mkdir(exist_ok=True)
    guests, listen, admin = folder / "guests.jwks.json", Node(HOST, free_port()), free_port()
    write(guests, json.dumps(guests_keys(guest_secret)))
    made = bootstrap(door, Choices(listen, admin=admin, **choices), guests)
    server = EnvoyServer(program or address("ENVOY"), folder, admin, json.dumps(made))
    server.start(60)
    try:
        yield Running(f"http://{listen}", server)
    finally:
        server.kill()
