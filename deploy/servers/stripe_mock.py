"""stripe-mock: holds requests against Stripe's own description of its interface, and has no state. Go builds it."""

import urllib.error
import urllib.request
from pathlib import Path

from deploy.servers.cache import Cache
from deploy.servers.go import built
from deploy.servers.server import HOST, Server, Service
from deploy.servers.telling import Telling

VERSION = "v0.203.0"
MODULE = "github.com/stripe/stripe-mock"


class StripeMockServer(Server):
    program: Path

    def command(self) -> list[str]:
        return [str(self.program), "-http-addr", self.address, "-https-addr", f"{HOST}:0"]

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/", timeout=2):
                return True
        except urllib.error.HTTPError as answer:
            return answer.code == 401  # it asks for a key, so it is there


class StripeMock(Service):
    name = "stripe_mock"

    def install(self, cache: Cache, telling: Telling) -> None:
        self.program = built(self.name, MODULE, VERSION, "stripe-mock", cache, telling)

    def arrange(self) -> None:
        folder = self.folder_of(self.name)
        server = StripeMockServer(self.name, folder, self.port_of(self.name, folder), kept=self.choices.kept)
        server.program = self.program
        self.servers = [server]

    def url(self) -> str:
        return f"http://{self.servers[0].address}"
