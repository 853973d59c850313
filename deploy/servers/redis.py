"""Redis: the machine's own, else Debian's."""

import platform

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.server import HOST, Server, Service, Tls, ask, secret_in
from deploy.servers.telling import Telling


class RedisServer(Server):
    program: list[str]
    tls: Tls | None = None

    def command(self) -> list[str]:
        options = {"port": self.port, "bind": HOST, "dir": self.folder, "save": "", "appendonly": "yes"}
        if self.tls is not None:
            options |= {"port": 0, "tls-port": self.port, "tls-ca-cert-file": self.tls.ca}
            options |= {"tls-cert-file": self.tls.certificate, "tls-key-file": self.tls.key}
            options |= {"tls-auth-clients": "yes" if self.tls.asks else "no", "requirepass": secret_in(self.folder)}
        return [*self.program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]

    def answers(self) -> bool:
        if self.tls is None:
            return ask(self.port, b"PING\r\n", 5) == b"+PONG"
        return ask(self.port, f"AUTH {secret_in(self.folder)}\r\n".encode(), 3, self.tls) == b"+OK"


class Redis(Service):
    name = "redis"

    def install(self, cache: Cache, telling: Telling) -> None:
        if own := debian.on_path("redis-server"):
            self.program = [str(own)]
            return
        key = f"redis-{debian.release().get('VERSION_CODENAME', 'unknown')}-{platform.machine()}"
        folder = cache.installed(
            self.name, key, lambda into: debian.unpack(self.name, "redis-server", into, telling), telling
        )
        self.program = debian.command(folder, "usr/bin/redis-check-rdb")
        self.program[1:1] = ["--argv0", "redis-server"]  # one program that goes by its name

    def arrange(self) -> None:
        folder = self.folder_of("redis")
        server = RedisServer("redis", folder, self.port_of("redis", folder), kept=self.choices.kept)
        server.program, server.tls = self.program, self.choices.tls
        self.servers = [server]

    def url(self) -> str:
        server = self.servers[0]
        if self.choices.tls is None:
            return f"redis://{server.address}/0"
        return f"rediss://:{secret_in(server.folder)}@{server.address}/0"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_REDIS_URL": self.url()}
