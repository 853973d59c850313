"""moto, which stands in for AWS: out of wheels of its own, run by this Python with what the tests need anyhow."""

import importlib.util
import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from deploy.servers.cache import Cache
from deploy.servers.server import HOST, Server, Service
from deploy.servers.telling import Missing, Telling
from deploy.servers.wheel import Wheel, modules

VERSION = "5.2.5"
WHEELS = (
    Wheel("moto", VERSION, "eef62cdcf3bfe73e0863743511ba042dfaba04ba3d5ecdcb896a196c693ad528"),
    Wheel("responses", "0.26.3", "74474f799334ac4f37d93b6437ecc3bb1bb5c77a8d31780a338643be2dce0af8"),
    Wheel("xmltodict", "1.0.4", "a4a00d300b0e1c59fc2bfccb53d7b2e88c32f200df138a0dd2229f842497026a"),
)
# Locust brings these, so they come with the tools for development.
NEEDED = ("flask", "flask_cors", "werkzeug", "requests", "boto3", "yaml")


class MotoServer(Server):
    modules: Path

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return os.environ | {"PYTHONPATH": str(self.modules), "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://{self.address}/moto-api/data.json", timeout=5) as answer:
            return isinstance(json.load(answer), dict)


class Moto(Service):
    name = "moto"

    def install(self, cache: Cache, telling: Telling) -> None:
        if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
            raise Missing(f"moto needs {', '.join(lacking)}, which this environment has not")

        def make(into: Path) -> dict[str, str]:
            telling.step(self.name, f"downloading moto {VERSION}, 7 MB")
            modules(self.name, WHEELS, into, telling)
            return {one.package: one.version for one in WHEELS}

        self.modules = cache.installed(self.name, f"moto-{VERSION}-{WHEELS[0].sha256[:8]}", make, telling)

    def arrange(self) -> None:
        folder = self.folder_of("moto")
        server = MotoServer("moto", folder, self.port_of("moto", folder), kept=self.choices.kept)
        server.modules = self.modules
        self.servers = [server]

    def url(self) -> str:
        return f"http://{self.servers[0].address}"
