"""Several servers at once: installed and started side by side, gone together."""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.servers.cache import Cache
from deploy.servers.elasticsearch import Elasticsearch
from deploy.servers.envoy import Envoy
from deploy.servers.haproxy import HAProxy
from deploy.servers.kafka import Kafka
from deploy.servers.mariadb import MariaDB
from deploy.servers.mongo import Mongo
from deploy.servers.moto import Moto
from deploy.servers.mysql import MySQL
from deploy.servers.redis import Redis
from deploy.servers.server import Choices, Server, Service, Tls
from deploy.servers.stripe_mock import StripeMock
from deploy.servers.telling import Broken, Missing, Stopped, Telling
from deploy.servers.toxiproxy import Toxiproxy

SERVICES: dict[str, type[Service]] = {
    one.name: one
    for one in (MySQL, MariaDB, Mongo, Redis, Kafka, Elasticsearch, Toxiproxy, StripeMock, Envoy, HAProxy, Moto)
}
# What the shop has settings for.
SHOP = ("mysql", "mongo", "redis", "kafka", "elasticsearch")


class Servers:
    """Real servers on this machine.

        with Servers(["mysql", "kafka"], brokers=3) as servers:
            servers["kafka-2"].kill()
            servers["kafka-2"].start()

    After entering all run, but those in ``missing``. On leaving, and also when this process is killed, none is left.
    """

    def __init__(
        self,
        names: Iterable[str] = SHOP,
        *,
        data: Path | None = None,
        ports: Mapping[str, int] | None = None,
        brokers: int = 1,
        mongo_nodes: int = 1,
        advertised: str = "",
        tls: Tls | None = None,
        cache: Cache | None = None,
        telling: Telling | None = None,
    ) -> None:
        """``data``: a folder that is kept; None: one that goes at the end. ``advertised``: the address of a proxy, to
        which Kafka sends its clients. ``tls``: see `Choices`. Raises ValueError for an unknown name."""
        self.names = list(dict.fromkeys(names))
        if unknown := [name for name in self.names if name not in SERVICES]:
            raise ValueError(f"there is no server {', '.join(unknown)}; there are {', '.join(SERVICES)}")
        self.missing: dict[str, str] = {}
        self.stands_in: dict[str, str] = {}
        self.telling = telling or Telling()
        self._data = data
        self._ports = dict(ports or {})
        self._counts = {"brokers": brokers, "mongo_nodes": mongo_nodes}
        self._advertised = advertised
        self._tls = tls
        self._cache = cache or Cache()
        self._folder: Path | None = None
        self._lock: IO[str] | None = None
        self._services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __getitem__(self, name: str) -> Server:
        """One server: "redis", or "kafka-2" of several. Raises KeyError."""
        for server in self:
            if server.name == name:
                return server
        raise KeyError(f"{name} is not among {', '.join(server.name for server in self)}")

    def __iter__(self) -> Iterator[Server]:
        for service in self._services.values():
            yield from service.servers

    @property
    def running(self) -> dict[str, Service]:
        """The services that are there, by name; mysql may be MariaDB."""
        return {name: self._services[self.stands_in.get(name, name)] for name in self.names if name not in self.missing}

    def install(self) -> None:
        """Only downloads. What this machine cannot run is in ``missing`` afterwards. Raises Stopped."""
        self._all(self.names, self._only_install)

    def start(self) -> None:
        """Downloads and starts. Raises Broken if one that can be run does not start, Stopped."""
        if self._data is None:
            self._folder = Path(tempfile.mkdtemp(prefix="troupe-servers-"))
        else:
            self._folder = self._data.absolute()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Broken(f"{self._folder} is in use by other servers") from None
        self._all(self.names, self._bring)
        if "mysql" in self.missing:
            if "mariadb" not in self._services and "mariadb" not in self.missing:
                self._all(["mariadb"], self._bring)
            if "mariadb" in self._services:
                self.stands_in["mysql"] = "mariadb"
                reason = self.missing.pop("mysql")
                self.telling.say(f"MYSQL IS NOT HERE ({reason}): MARIADB STANDS IN FOR IT", "bold yellow")

    def stop(self) -> None:
        """Ends all; with data of its own, which goes too, they are killed."""
        self.telling.stopped.set()
        services, self._services = self._services, {}
        ending = [threading.Thread(target=service.stop) for service in services.values()]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()
        if self._data is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _install(self, name: str) -> Service:
        folder, kept = self._folder or Path(os.devnull), self._data is not None
        choices = Choices(folder, kept, self._ports, advertised=self._advertised, tls=self._tls, **self._counts)
        service = SERVICES[name](choices)
        self.telling.step(name, "looking what is installed", line=False)
        service.install(self._cache, self.telling)
        return service

    def _only_install(self, name: str) -> None:
        self._install(name)
        self.telling.done(name, "is installed")

    def _bring(self, name: str) -> None:
        service = self._install(name)
        self._services[name] = service
        service.start(self.telling)
        self.telling.done(name, f"ready at {', '.join(server.address for server in service.servers) or service.url()}")

    def _all(self, names: list[str], work: Callable[[str], object]) -> None:
        """Does something for each, side by side; the calling thread waits so that it still hears signals."""
        failed: list[BaseException] = []

        def one(name: str) -> None:
            try:
                work(name)
            except Missing as missing:
                self._services.pop(name, None)
                self.missing[name] = str(missing)
                self.telling.done(name, f"NOT HERE: {missing}")
            except Stopped:
                return
            except BaseException as error:
                failed.append(error)
                self.telling.stopped.set()
            finally:
                ended[name].set()

        # An event each, since a thread whose join() is broken off by a signal is taken for ended (Python 3.11).
        ended = {name: threading.Event() for name in names}
        for name in names:
            threading.Thread(target=one, args=[name], daemon=True).start()
        try:
            wait_for_all(ended.values())
        except BaseException:
            self.telling.stopped.set()
            wait_for_all(ended.values())
            raise
        if failed:
            raise failed[0]
        if self.telling.stopped.is_set():
            raise Stopped


def wait_for_all(events: Iterable[threading.Event]) -> None:
    for event in events:
        event.wait()
