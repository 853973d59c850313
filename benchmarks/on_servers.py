"""The same two on real servers: the shop on MySQL, MongoDB, Redis and Kafka, the stateless service on MySQL."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Root
from benchmarks.servers import Stateless
from benchmarks.target import Missing, launch
from benchmarks.troupe import VARIABLES, Troupe
from deploy.servers.fleet import Servers

OF_TROUPE = ("mysql", "mongo", "redis", "kafka")
SETUP_SECONDS = 180.0


class Private:
    """Servers of a target's own, on a folder that is kept between starts."""

    def __init__(self, names: tuple[str, ...], folder: Path) -> None:
        self._names = names
        self._folder = folder.resolve()
        self._servers: Servers | None = None

    def start(self) -> dict[str, str]:
        """What is to be set for a shop on them. Raises Missing."""
        servers = Servers(self._names, data=self._folder)
        servers.start()
        self._servers = servers
        if servers.missing:
            raise Missing("; ".join(f"{name}: {reason}" for name, reason in servers.missing.items()))
        return {name: value for one in servers.running.values() for name, value in one.settings().items()}

    def url(self, name: str) -> str:
        assert self._servers is not None
        return self._servers.running[name].url()

    def roots(self) -> list[Root]:
        return [Root(one.name, one.pid) for one in self._servers] if self._servers is not None else []

    def stop(self) -> None:
        servers, self._servers = self._servers, None
        if servers is not None:
            servers.stop()


class StatelessOnMySQL(Stateless):
    """The stateless service on a private MySQL, which flushes at each commit as it does by default."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self._servers = Private(("mysql",), folder / "servers")

    def start(self) -> None:
        """Raises Missing."""
        self._servers.start()
        self._database = self._servers.url("mysql")
        super().start()

    def roots(self) -> list[Root]:
        """The workers and the server."""
        return [*super().roots(), *self._servers.roots()]

    def stop(self) -> None:
        """The workers, then the server."""
        super().stop()
        self._servers.stop()


class TroupeOnServers(Troupe):
    """The shop on servers of its own, set up as an operator would."""

    name = "troupe-servers"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._servers = Private(OF_TROUPE, folder.resolve() / "servers")
        self._settings: dict[str, str] = {}

    def start(self) -> None:
        """Raises Missing, TimeoutError, RuntimeError."""
        self._settings = self._servers.start()
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "setup.log"
        command = [sys.executable, "-m", "serve.cli.main", "setup", "--data", str(self._folder / "data")]
        setting_up = launch(command, log, self._settings)
        try:
            status = setting_up.wait(SETUP_SECONDS)
        except subprocess.TimeoutExpired:
            setting_up.kill()
            raise
        if status != 0:
            raise RuntimeError(f"the setup failed: {log.read_text()[-2000:]}")
        super().start()

    def variables(self) -> dict[str, str]:
        return {**VARIABLES, **self._settings}

    def roots(self) -> list[Root]:
        """The shop's processes and the servers'."""
        return [*super().roots(), *self._servers.roots()]

    def stop(self) -> None:
        """The shop, then the servers."""
        super().stop()
        self._servers.stop()
