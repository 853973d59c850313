"""The stateless service on its two databases, and the MariaDB server that one of them needs."""

import getpass
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import make_url

from benchmarks.measure import Root
from benchmarks.stateless.models import seed
from benchmarks.stateless.settings import Settings
from benchmarks.stateless.shop import Shop
from benchmarks.target import UNITS, Missing, answers, catalogue, finish, free_port, launch, wait_until

WORKERS = 2


class MariaDB:
    """A private server: its own folder, a free port of 127.0.0.1, a flush of the redo log at each commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Starts the server on its folder, which is made at the first start. Raises Missing."""
        server = shutil.which("mariadbd")
        if server is None:
            raise Missing("mariadbd is not on PATH: install MariaDB (Debian, Ubuntu: apt install mariadb-server)")
        data, port = self._folder / "data", free_port()
        if not data.exists():
            self._install(data)
        log = self._folder / "mariadbd.log"
        command = [
            server,
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={self._folder / 'socket'}",
            f"--pid-file={self._folder / 'pid'}",
            f"--user={getpass.getuser()}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=512M",
            "--innodb-log-file-size=512M",
            "--max-connections=500",
            "--skip-name-resolve",
        ]
        self._process = launch(command, log)
        wait_until(lambda: _accepts(port), "mariadbd", self._process, log, 60)
        with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4")
        self.url = f"mysql+pymysql://root@127.0.0.1:{port}/shop?charset=utf8mb4"

    def _install(self, data: Path) -> None:
        installer = shutil.which("mariadb-install-db")
        if installer is None:
            raise Missing("mariadb-install-db is not on PATH: it comes with MariaDB's server")
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        try:
            subprocess.run([installer, *options, f"--user={getpass.getuser()}"], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(data, ignore_errors=True)
            raise Missing(f"mariadb-install-db failed: {error.stderr.decode(errors='replace').strip()}") from error

    def roots(self) -> list[Root]:
        """The server's process."""
        return [Root("mariadbd", self._process.pid)] if self._process is not None else []

    def stop(self) -> None:
        """Shuts the server down in order."""
        process, self._process = self._process, None
        if process is not None:
            finish(process, seconds=60)


class Stateless:
    """Two uvicorn workers of the stateless service, on a database that they are told."""

    def __init__(self, name: str, folder: Path, mariadb: MariaDB | None = None, database: str | None = None) -> None:
        self.name, self.url = name, ""
        self._folder = folder.resolve()
        self._mariadb = mariadb
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the database if it is ours, creates tables and products, starts the workers. Raises Missing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._mariadb is not None:
            self._mariadb.start()
        database = self._database or (
            self._mariadb.url if self._mariadb is not None else f"sqlite:///{self._folder}/shop.db"
        )
        if not database.startswith("sqlite"):
            _insist_on_flush(database)
        shop = Shop(Settings(url=database, threads=1))
        shop.create_tables()
        seed(shop.database, catalogue(), UNITS)
        shop.close()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = ["--factory", "--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
        options += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        log = self._folder / "uvicorn.log"
        command = [sys.executable, "-m", "uvicorn", "benchmarks.stateless.app:create", *options]
        self._process = launch(command, log, {"STATELESS_URL": database})
        wait_until(lambda: answers(self.url), self.name, self._process, log, 60)

    def skus(self) -> list[str]:
        """What is on sale."""
        return [str(product["sku"]) for product in catalogue()]

    def roots(self) -> list[Root]:
        """The workers, and the database server if it is ours."""
        ours = [Root("uvicorn", self._process.pid)] if self._process is not None else []
        return ours + (self._mariadb.roots() if self._mariadb is not None else [])

    def stop(self) -> None:
        """Ends the workers, then the database server."""
        process, self._process = self._process, None
        if process is not None:
            finish(process, signal.SIGTERM)
        if self._mariadb is not None:
            self._mariadb.stop()


def _accepts(port: int) -> bool:
    try:
        pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=2).close()
    except pymysql.err.OperationalError:
        return False
    return True


def _insist_on_flush(database: str) -> None:
    """A server that does not flush at each commit would be measured doing less than it says."""
    url = make_url(database)
    where: dict[str, Any] = {
        "host": url.host,
        "port": url.port or 3306,
        "user": url.username,
        "password": url.password or "",
    }
    with pymysql.connect(**where) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit")
        row = cursor.fetchone()
    if row is None or int(row[0]) != 1:
        raise Missing(f"{url.host}:{url.port} does not flush at each commit: set innodb_flush_log_at_trx_commit=1")
