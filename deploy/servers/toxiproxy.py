"""toxiproxy, which puts delays, resets and black holes between a client and a server. Go builds it."""

import json
import os
import platform
import shutil
import urllib.request
from pathlib import Path

from deploy.servers.cache import Cache
from deploy.servers.server import HOST, Server, Service
from deploy.servers.telling import Missing, Telling

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
        def make(into: Path) -> dict[str, str]:
            go = shutil.which("go")
            if go is None:
                raise Missing("toxiproxy is built by Go, and there is no go on this machine")
            telling.step(self.name, f"downloading and building toxiproxy {VERSION}")
            # Go checks what it downloads against its own database of sums.
            places = {"GOBIN": str(into), "GOFLAGS": "-modcacherw -trimpath", "CGO_ENABLED": "0"}
            command = [go, "install", f"{MODULE}@{VERSION}"]
            telling.run(self.name, command, into / "go.log", environment=os.environ | places, folder=into)
            (into / "server").rename(into / "toxiproxy-server")
            return {"toxiproxy": VERSION}

        folder = cache.installed(self.name, f"toxiproxy-{VERSION}-{platform.machine()}", make, telling)
        self.program = folder / "toxiproxy-server"

    def arrange(self) -> None:
        folder = self.folder_of("toxiproxy")
        server = ToxiproxyServer("toxiproxy", folder, self.port_of("toxiproxy", folder), kept=self.choices.kept)
        server.program = self.program
        self.servers = [server]

    def url(self) -> str:
        return f"http://{self.servers[0].address}"
