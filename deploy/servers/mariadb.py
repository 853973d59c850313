"""MariaDB: the machine's own, else Debian's. Its accounts have a random password."""

import os
import platform
from pathlib import Path

from deploy.servers import debian
from deploy.servers.cache import Cache
from deploy.servers.server import HOST, Server, Service, ask, secret_in
from deploy.servers.telling import Broken, Missing, Telling

# Run one after the other they make the system's tables, as mariadb-install-db does.
SYSTEM_TABLES = (
    "mysql_system_tables",
    "mysql_performance_tables",
    "mysql_system_tables_data",
    "maria_add_gis_sp_bootstrap",
)
BEFORE_TABLES = """CREATE DATABASE IF NOT EXISTS mysql;
USE mysql;
SET @skip_auth_anonymous=NULL;
SET @auth_root_socket=NULL;
"""
OLD_ACCOUNTS = """DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
"""
GREETING = b"\x0a"  # the version of the protocol, after a header of four bytes


class MariaDBServer(Server):
    program: list[str]
    share: Path  # the folder with share/mysql or share/mariadb
    password: str

    def prepare(self, telling: Telling) -> None:
        accounts = self.folder / "accounts.sql"
        accounts.touch(mode=0o600)
        accounts.write_text(OLD_ACCOUNTS + accounts_sql(self.password))
        data = self.folder / "data"
        (self.folder / "tmp").mkdir(exist_ok=True)
        if (self.folder / "initialised").exists():
            return
        data.mkdir(exist_ok=True)
        sql = "".join(file.read_text() for name in SYSTEM_TABLES for file in self.share.glob(f"share/m*/{name}.sql"))
        (self.folder / "system.sql").write_text(BEFORE_TABLES + sql)
        bootstrap = [*self.program, "--no-defaults", "--bootstrap", f"--datadir={data}", *self.common()]
        shell = ["/bin/sh", "-c", 'exec "$0" "$@" < system.sql', *bootstrap]
        telling.run("mariadb", shell, self.log, folder=self.folder, fails=Broken)
        (self.folder / "initialised").touch()

    def common(self) -> list[str]:
        # Another server would remove its temporary tables from a folder that they share.
        places = [f"--basedir={self.share}", f"--tmpdir={self.folder / 'tmp'}"]
        return [*places, *(["--user=root"] if os.geteuid() == 0 else [])]

    def command(self) -> list[str]:
        return [
            *self.program,
            "--no-defaults",
            *self.common(),
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'sock'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={self.folder / 'accounts.sql'}",
            f"--port={self.port}",
            f"--bind-address={HOST}",
            "--innodb-flush-log-at-trx-commit=1",
            "--sync-binlog=1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--max-connections=500",
        ]

    def answers(self) -> bool:
        return ask(self.port, b"", 5)[4:] == GREETING


class MariaDB(Service):
    name = "mariadb"

    def install(self, cache: Cache, telling: Telling) -> None:
        if own := debian.on_path("mariadbd"):
            self.program, self.share = [str(own)], own.parents[1]
            return
        key = f"mariadb-{debian.release().get('VERSION_CODENAME', 'unknown')}-{platform.machine()}"
        folder = cache.installed(
            self.name, key, lambda into: debian.unpack(self.name, "mariadb-server-core", into, telling), telling
        )
        self.program, self.share = debian.command(folder, "usr/sbin/mariadbd"), folder / "usr"

    def arrange(self) -> None:
        if not list(self.share.glob(f"share/m*/{SYSTEM_TABLES[0]}.sql")):
            raise Missing(f"MariaDB's {SYSTEM_TABLES[0]}.sql is not below {self.share}/share")
        folder = self.folder_of("mariadb")
        server = MariaDBServer("mariadb", folder, self.port_of("mariadb", folder), kept=self.choices.kept)
        server.program, server.share, server.password = self.program, self.share, secret_in(folder)
        self.servers = [server]

    def url(self) -> str:
        server = self.servers[0]
        assert isinstance(server, MariaDBServer)
        return f"mysql+pymysql://troupe:{server.password}@{server.address}/troupe"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_MYSQL_URL": self.url()}


def accounts_sql(password: str) -> str:
    """A statement a line: the account that a shop uses, which may make databases and users, and a password for root."""
    return (
        f"CREATE USER IF NOT EXISTS 'troupe'@'{HOST}' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL PRIVILEGES ON *.* TO 'troupe'@'{HOST}' WITH GRANT OPTION;\n"
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n"
        "CREATE DATABASE IF NOT EXISTS troupe CHARACTER SET utf8mb4;\n"
    )
