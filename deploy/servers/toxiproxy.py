"""toxiproxy, which puts delays, resets and black holes between a client and a server. Go builds it."""

import json
import urllib.request
from pathlib import Path

from deploy.servers.cache import Cache
from deploy.servers.go import built
from deploy.servers.server import HOST, Server, Service
from deploy.servers.telling import Telling

VERSION = "v2.5.0"
MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"


class ToxiproxyServer(Server):
    program: Path

    def command(self) -> list[str]:
        return [str(self.program), "-host", HOST, "-port", str(self.port)]

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://{self.address}/proxies", timeout=2) as answer:
            return isinstance(json.load(answer), dict)


class Toxiproxy(Service):
    name = "toxiproxy"

    def install(self, cache: Cache, telling: Telling) -> None:
        self.program = built(self.name, MODULE, VERSION, "server", cache, telling)

    def arrange(self) -> None:
        folder = self.folder_of("toxiproxy")
        server = ToxiproxyServer("toxiproxy", folder, self.port_of("toxiproxy", folder), kept=self.choices.kept)
        server.program = self.program
        self.servers = [server]

    def url(self) -> str:
        return f"http://{self.servers[0].address}"
