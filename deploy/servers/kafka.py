"""Kafka in KRaft mode, one or more brokers that are their own controllers. Maven brings it, Java runs it."""

import base64
import socket
import struct
import uuid
from pathlib import Path

from deploy.servers.cache import Cache, check
from deploy.servers.maven import jars, java
from deploy.servers.process import until
from deploy.servers.server import HOST, Server, Service, Tls, free_port, is_free, receive, secret_in
from deploy.servers.telling import Broken, Telling

VERSION = "4.4.0"
ARTEFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5")
SUMS = Path(__file__).with_name("kafka.sha256")
METADATA, VERSION_1 = 3, 1
USER = "troupe"
"""Who clients are where the broker asks: over TLS."""


class KafkaBroker(Server):
    start_seconds = 120.0
    java: Path
    library: Path
    number: int
    controller_port: int
    advertised: str
    voters: str
    brokers: int
    cluster: str
    tls: Tls | None = None
    inside_port = 0

    def prepare(self, telling: Telling) -> None:
        self._write_properties()
        if (self.folder / "data" / "meta.properties").exists():
            return
        tool = [*self._java(), "kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster}"]
        properties = str(self.folder / "server.properties")
        if self.tls is not None:
            tool.append(f"--add-scram=SCRAM-SHA-512=[name={USER},password={secret_in(self.folder)}]")
        telling.run("kafka", [*tool, "-c", properties], self.log, folder=self.folder, fails=Broken)

    def _java(self) -> list[str]:
        small = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        return [
            str(self.java),
            *small,
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{self.library}/*",
        ]

    def command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self.folder / "server.properties")]

    def _write_properties(self) -> None:
        copies = min(3, self.brokers)
        sure = max(1, copies - 1)
        chosen = {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": self.voters,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.advertised}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": sure,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": sure,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": sure,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 3000,  # how long after kill -9 it waits for itself
            "broker.heartbeat.interval.ms": 500,
        }
        if self.tls is not None:
            chosen |= self._over_tls(self.tls)
        text = "".join(f"{name}={value}\n" for name, value in chosen.items())
        (self.folder / "server.properties").write_text(text)
        (self.folder / "log4j2.properties").write_text(
            "appender.console.type=Console\nappender.console.name=console\nappender.console.layout.type=PatternLayout\n"
            "appender.console.layout.pattern=[%d] %p %m (%c)%n\nrootLogger.level=INFO\n"
            "rootLogger.appenderRef.console.ref=console\n"
        )

    def _over_tls(self, tls: Tls) -> dict[str, object]:
        """Clients speak TLS and say who they are; the broker speaks to itself in clear, which is not what is tried."""
        inside = f"INSIDE://{HOST}:{self.inside_port}"
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        (self.folder / "keystore.pem").write_text(tls.key.read_text() + tls.certificate.read_text())
        return {
            "listeners": f"SASL_SSL://{self.address},{inside},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"SASL_SSL://{self.address},{inside}",
            "inter.broker.listener.name": "INSIDE",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.folder / "keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": tls.ca,
            "listener.name.sasl_ssl.ssl.client.auth": "required" if tls.asks else "none",
        }

    def answers(self) -> bool:
        return self.number in members(self.inside_port or self.port)


class Kafka(Service):
    name = "kafka"

    def install(self, cache: Cache, telling: Telling) -> None:
        self.java = java("Kafka", 17)
        pinned = {name: value for value, name in (line.split() for line in SUMS.read_text().splitlines())}

        def make(into: Path) -> dict[str, str]:
            telling.step(self.name, f"downloading Kafka {VERSION}, 43 MB")
            jars("Kafka", ARTEFACTS, into / "lib", telling)
            check({into / "lib" / name: value for name, value in pinned.items()})
            for extra in (into / "lib").iterdir():
                if extra.name not in pinned:
                    extra.unlink()
            return {"kafka": VERSION}

        key = f"kafka-{VERSION}-{pinned[f'kafka_2.13-{VERSION}.jar'][:8]}"
        self.library = cache.installed(self.name, key, make, telling) / "lib"

    def arrange(self) -> None:
        count = self.choices.brokers
        names = ["kafka"] if count == 1 else [f"kafka-{number}" for number in range(1, count + 1)]
        brokers: list[KafkaBroker] = []
        for number, name in enumerate(names, start=1):
            folder = self.folder_of(name)
            broker = KafkaBroker(name, folder, self.port_of(name, folder), kept=self.choices.kept)
            broker.number, broker.brokers, broker.java, broker.library = number, count, self.java, self.library
            if self.choices.tls is not None:
                broker.tls, broker.inside_port = self.choices.tls, free_port()
            broker.controller_port = self._controller_port(name, folder)
            broker.advertised = (self.choices.advertised if count == 1 else "") or broker.address
            brokers.append(broker)
        cluster = self.choices.folder / names[0] / "cluster"
        if not cluster.exists():
            cluster.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        for broker in brokers:
            broker.cluster = cluster.read_text()
            broker.voters = ",".join(f"{one.number}@{HOST}:{one.controller_port}" for one in brokers)
        self.servers = [*brokers]

    def _controller_port(self, name: str, folder: Path) -> int:
        kept = folder / "controller_port"
        port = int(kept.read_text()) if kept.exists() else 0
        if not port or not is_free(port):
            port = free_port()
        kept.write_text(str(port))
        return port

    def settle(self, deadline: float, telling: Telling) -> None:
        wanted = {broker.number for broker in self.servers if isinstance(broker, KafkaBroker)}
        first = self.servers[0]
        assert isinstance(first, KafkaBroker)
        while (found := members(first.inside_port or first.port)) != wanted:
            if not until(deadline):
                raise Broken(f"only {len(found)} of {len(wanted)} brokers found each other")
            telling.pause(0.1)

    def url(self) -> str:
        return ",".join(server.address for server in self.servers)

    def settings(self) -> dict[str, str]:
        found = {"TROUPE_KAFKA_SERVERS": self.url(), "TROUPE_KAFKA_REPLICATION": str(min(3, len(self.servers)))}
        if self.choices.tls is not None:
            found |= {"TROUPE_KAFKA_USER": USER, "TROUPE_KAFKA_PASSWORD": secret_in(self.servers[0].folder)}
            found |= {"TROUPE_KAFKA_TLS": "true"}
        return found


def members(port: int) -> set[int]:
    """The numbers of the brokers that a broker knows of. Raises OSError, EOFError."""
    client = b"troupe-servers"
    body = struct.pack(">hhih", METADATA, VERSION_1, 1, len(client)) + client + struct.pack(">i", 0)  # of no topic
    request = struct.pack(">i", len(body)) + body
    with socket.create_connection((HOST, port), timeout=2) as connection:
        connection.sendall(request)
        (length,) = struct.unpack(">i", receive(connection, 4))
        told = receive(connection, length)
    (count,) = struct.unpack_from(">i", told, 4)
    at, found = 8, set()
    for _ in range(count):
        number, length = struct.unpack_from(">ih", told, at)
        found.add(number)
        at += 6 + length + 4
        (rack,) = struct.unpack_from(">h", told, at)
        at += 2 + max(0, rack)
    return found
