"""One running server, as a test or a person handles it, and the service that one or more of them make up."""

import random
import secrets
import signal
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from deploy.servers.cache import Cache
from deploy.servers.process import Guarded, tail, until
from deploy.servers.telling import Broken, Missing, Telling, brief

HOST = "127.0.0.1"
# Below Linux's ports for outgoing connections, so that a server that was killed finds its port free again.
PORTS = range(20_000, 32_000)


class Server(ABC):
    """A server process. Only one thread may start and stop it at a time."""

    graceful_seconds: ClassVar[float] = 15.0
    start_seconds: ClassVar[float] = 90.0

    def __init__(self, name: str, folder: Path, port: int, *, kept: bool = False) -> None:
        """``folder`` is its own, with its data, configuration and log; ``kept``: it stays when this process ends."""
        self.name = name
        self.folder = folder
        self.port = port
        self.kept = kept
        self._process: Guarded | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def running(self) -> bool:
        """False also after a crash; a paused server is running."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The server's process. Raises RuntimeError if it does not run."""
        if self._process is None or not self._process.running:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def log_tail(self, lines: int = 30) -> str:
        return tail(self.log, lines)

    def start(self, seconds: float | None = None, telling: Telling | None = None) -> None:
        """Starts it and waits until it answers its own protocol.

        Raises Broken with the log's end if it does not, Stopped, RuntimeError if it runs already.
        """
        deadline = time.monotonic() + (seconds or self.start_seconds)
        self.launch(telling or Telling())
        self.wait(deadline, telling or Telling())

    def launch(self, telling: Telling) -> None:
        """Starts it and waits for nothing. Raises Broken, Stopped, RuntimeError if it runs already."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self.prepare(telling)
        self._process = Guarded(
            self.command(),
            log=self.log,
            environment=self.environment(),
            folder=self.folder,
            user=self.user(),
            remove=None if self.kept else self.folder,
        )

    def wait(self, deadline: float, telling: Telling) -> None:
        """Waits until it answers. Raises Broken at the deadline (monotonic clock) or if it ends first, Stopped."""
        while not self.ready():
            if not self.running:
                raise Broken(f"{self.name} ended while it started: {brief(self.log_tail(8))}")
            if not until(deadline):
                self.kill()
                raise Broken(f"{self.name} did not answer in time: {brief(self.log_tail(8))}")
            telling.pause(0.05)

    def stop(self) -> bool:
        """Asks it to end and waits; False: after 15 s it had to be killed."""
        return self._process is None or self._process.stop(self.graceful_seconds)

    def kill(self) -> None:
        """kill -9 of it and all that it started; returns when they are gone."""
        if self._process is not None:
            self._process.kill()

    def restart(self, seconds: float | None = None) -> None:
        """Stops it, if it runs, and starts it on the same port and data."""
        self.stop()
        self.start(seconds)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and says nothing."""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused server go on."""
        assert self._process is not None
        self._process.send(signal.SIGCONT)

    def prepare(self, telling: Telling) -> None:
        """What has to be done before a start; must not hurt when it is done already."""
        del telling

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does its work; OSError and ConnectionError mean no."""

    def environment(self) -> Mapping[str, str] | None:
        return None

    def user(self) -> int | None:
        """The uid to run as, if it is another."""
        return None

    def ready(self) -> bool:
        """Whether it answers, now."""
        try:
            return self.answers()
        except (OSError, EOFError):
            return False


class Tls(NamedTuple):
    """PEM files of a server: whom it believes, its certificate and key, and both in one. `asks`: clients for theirs."""

    ca: Path
    certificate: Path
    key: Path
    both: Path
    asks: bool = False

    def context(self) -> ssl.SSLContext:
        """For a client that checks the server, and shows the server's own certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.both)
        return context


@dataclass
class Choices:
    """How servers are to be run."""

    folder: Path
    kept: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)
    brokers: int = 1
    mongo_nodes: int = 1
    tls: Tls | None = None
    """MySQL, MongoDB, Redis, Kafka and Elasticsearch then speak nothing else, and want a password where they can."""
    advertised: str = ""
    """Where clients are to look for a single Kafka broker: a proxy in front of it."""


class Service(ABC):
    """What a shop has an address of: one server, or several that belong together."""

    name: ClassVar[str]

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.servers: list[Server] = []

    @abstractmethod
    def install(self, cache: Cache, telling: Telling) -> None:
        """Downloads what isn't there yet. Raises Missing, Stopped."""

    @abstractmethod
    def arrange(self) -> None:
        """Makes the servers, without starting them."""

    @abstractmethod
    def url(self) -> str:
        """Its address, with the password if it has one."""

    def settings(self) -> dict[str, str]:
        """The settings of a shop that uses it."""
        return {}

    def settle(self, deadline: float, telling: Telling) -> None:
        """What is left to do once all servers run. Raises Broken, Stopped."""
        del deadline, telling

    def start(self, telling: Telling) -> None:
        """Starts all its servers at once: a cluster needs most of its members. Raises Missing, Broken, Stopped."""
        self.arrange()
        telling.step(self.name, "starting")
        deadline = time.monotonic() + max(server.start_seconds for server in self.servers)
        for server in self.servers:
            server.launch(telling)
        for server in self.servers:
            server.wait(deadline, telling)
        self.settle(deadline, telling)

    def stop(self) -> None:
        for server in self.servers:
            server.stop() if server.kept else server.kill()

    def folder_of(self, server: str) -> Path:
        """A server's own folder, for its user only."""
        folder = self.choices.folder / server
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def port_of(self, server: str, folder: Path) -> int:
        """The port asked for, else that of kept data, else a free one. Raises Missing if it is taken."""
        kept = folder / "port"
        port = self.choices.ports.get(server) or (int(kept.read_text()) if kept.exists() else 0) or free_port()
        if not is_free(port):
            raise Missing(f"port {port} is taken; --port {server}=NUMBER chooses another")
        kept.write_text(f"{port}\n")
        return port


def secret_in(folder: Path) -> str:
    """The password of the data in a folder, made at the first call."""
    file = folder / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(18))
    return file.read_text()


def free_port() -> int:
    """A port on the loopback interface that nobody listens on now."""
    for port in random.sample(PORTS, 500):
        if is_free(port):
            return port
    raise Broken(f"no port between {PORTS.start} and {PORTS.stop} is free")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def ask(port: int, request: bytes, length: int, tls: Tls | None = None) -> bytes:
    """Sends a request and returns that many bytes of what comes back. Raises OSError, EOFError; waits 2 s."""
    with connected(port, 2, tls) as connection:
        connection.sendall(request)
        return receive(connection, length)


def connected(port: int, seconds: float, tls: Tls | None = None) -> socket.socket:
    """A connection to a server on this machine. Raises OSError."""
    plain = socket.create_connection((HOST, port), timeout=seconds)
    return plain if tls is None else tls.context().wrap_socket(plain, server_hostname=HOST)


def receive(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes. Raises EOFError if the other side closes before."""
    got = b""
    while len(got) < length:
        more = connection.recv(length - len(got))
        if not more:
            raise EOFError("the connection was closed")
        got += more
    return got
