"""MySQL: the machine's own, else the newest from Debian's sid, unpacked aside. Its accounts have a random password."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.mariadb import GREETING, accounts_sql
from deploy.servers.server import HOST, Server, Service, Tls, ask, secret_in
from deploy.servers.telling import Broken, Missing, Telling

SUITE = "sid"  # the only one of Debian's that has MySQL; it moves


class MySQLServer(Server):
    program: list[str]
    base: Path  # the folder with share/mysql and lib/mysql
    password: str
    tls: Tls | None = None

    def prepare(self, telling: Telling) -> None:
        accounts = self.folder / "accounts.sql"
        accounts.touch(mode=0o600)
        accounts.write_text(accounts_sql(self.password))
        (self.folder / "tmp").mkdir(exist_ok=True)
        if (self.folder / "initialised").exists():
            return
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        options = ["--initialize-insecure", f"--init-file={accounts}"]
        telling.run("mysql", [*self._common(), *options], self.log, folder=self.folder, fails=Broken)
        (self.folder / "initialised").touch()

    def _common(self) -> list[str]:
        folders = [f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder / 'tmp'}", "--secure-file-priv="]
        options = ["--no-defaults", f"--basedir={self.base}", *folders]
        return [*self.program, *options, *(["--user=root"] if os.geteuid() == 0 else [])]

    def command(self) -> list[str]:
        return [
            *self._common(),
            f"--socket={self.folder / 'sock'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--bind-address={HOST}",
            "--mysqlx=OFF",
            "--innodb-flush-log-at-trx-commit=1",
            "--sync-binlog=1",
            "--skip-name-resolve",
            "--max-connections=500",
            *self._tls(),
        ]

    def _tls(self) -> list[str]:
        if self.tls is None:
            return []
        files = [f"--ssl-ca={self.tls.ca}", f"--ssl-cert={self.tls.certificate}", f"--ssl-key={self.tls.key}"]
        return ["--require-secure-transport=ON", *files]

    def answers(self) -> bool:
        return ask(self.port, b"", 5)[4:] == GREETING


class MySQL(Service):
    name = "mysql"

    def install(self, cache: Cache, telling: Telling) -> None:
        if (own := debian.on_path("mysqld")) and "MariaDB" not in version(own):
            self.program, self.base = [str(own)], own.parents[1]
            return
        if debian.release().get("ID") != "debian":
            raise Missing("mysqld is not installed, and can be unpacked aside only on Debian, from its suite sid")
        folder = cache.installed(
            self.name,
            f"mysql-{SUITE}-{platform.machine()}",
            lambda into: debian.unpack(self.name, "mysql-server-core", into, telling, SUITE),
            telling,
        )
        self.program, self.base = debian.command(folder, "usr/sbin/mysqld"), folder / "usr"

    def arrange(self) -> None:
        folder = self.folder_of("mysql")
        server = MySQLServer("mysql", folder, self.port_of("mysql", folder), kept=self.choices.kept)
        server.program, server.base, server.password = self.program, self.base, secret_in(folder)
        server.tls = self.choices.tls
        self.servers = [server]

    def url(self) -> str:
        server = self.servers[0]
        assert isinstance(server, MySQLServer)
        return f"mysql+pymysql://troupe:{server.password}@{server.address}/troupe"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_MYSQL_URL": self.url()}


def version(program: Path) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return told.stdout
