"""A server of the test's own, to be killed: the same program as the one at the address, with new data."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.servers import address

# A server on a busy machine is up long before that.
SECONDS = 60


class OwnServer:
    """Started, killed and started again by the test. `url`: where it is."""

    def __init__(self, command: list[str], url: str, up: Callable[[], bool]) -> None:
        self.url = url
        self._command = command
        self._up = up
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + SECONDS
        while not self._up():
            assert self._process.poll() is None, f"{self._command[0]} ended: {self._process.returncode}"
            assert time.monotonic() < until, f"{self._command[0]} does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(SECONDS)
            self._process = None


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _arguments(pid: int, name: str) -> list[str]:
    """How a process was called; skips the test if it isn't one of this machine's."""
    try:
        told = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        pytest.skip(f"{name} runs on another machine: it cannot be killed here")
    return [os.fsdecode(one) for one in told if one]


@contextmanager
def mongo_server(folder: Path) -> Iterator[OwnServer]:
    """A replica set of one."""
    client: MongoClient[dict[str, Any]] = MongoClient(address("MONGO"))
    pid = int(client.admin.command("serverStatus")["pid"])
    client.close()
    program = [str(Path(f"/proc/{pid}/exe").readlink())] if _arguments(pid, "MongoDB") else []
    port = _free_port()
    data = folder / "mongo"
    data.mkdir()
    command = [*program, "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", "own"]
    command += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--nounixsocket"]

    def up() -> bool:
        beside: MongoClient[dict[str, Any]] = MongoClient(
            f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=500
        )
        try:
            hello = beside.admin.command("hello")
            if "setName" not in hello and hello.get("info"):
                members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
                beside.admin.command("replSetInitiate", {"_id": "own", "members": members})
            return bool(hello["isWritablePrimary"])
        except PyMongoError:
            return False
        finally:
            beside.close()

    server = OwnServer(command, f"mongodb://127.0.0.1:{port}/troupe?replicaSet=own", up)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def mysql_server(folder: Path, name: str) -> Iterator[OwnServer]:
    """`name`: "MYSQL" or "MARIADB"."""
    running = create_engine(make_url(address(name)).set(database=""), poolclass=NullPool)
    with running.connect() as connection:
        data_folder, pid_file = connection.exec_driver_sql("SELECT @@datadir, @@pid_file").one()
    told = Path(data_folder, pid_file)
    if not told.exists():
        pytest.skip(f"{name} runs on another machine: it cannot be killed here")
    arguments = _arguments(int(told.read_text()), name)
    # What comes before the first option is the program, maybe with its loader; a few options say where it is installed.
    program = arguments[: next(n for n, one in enumerate(arguments) if one.startswith("--no-defaults"))]
    where = [
        one for one in arguments if one.startswith(("--user", "--basedir", "--lc-messages-dir", "--secure-file-priv"))
    ]
    where.append(f"--datadir={folder}/data")
    if name == "MARIADB":
        make = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", *where]
    else:
        make = [*program, "--no-defaults", "--initialize-insecure", *where]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS)
    # A longer name would be refused.
    socket_path = Path(gettempdir()) / f"troupe-{os.getpid()}.sock"
    port = _free_port()
    command = [*program, "--no-defaults", *where, f"--port={port}", f"--socket={socket_path}"]
    command += ["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"]
    command += [f"--pid-file={folder}/pid"]
    # 127.0.0.1 is resolved: whoever comes from there is root@localhost.
    server = f"mysql+pymysql://root@127.0.0.1:{port}/"

    def up() -> bool:
        try:
            with create_engine(server, poolclass=NullPool).connect() as connection:
                connection.exec_driver_sql("CREATE DATABASE IF NOT EXISTS troupe")
            return True
        except OperationalError:
            return False

    own = OwnServer(command, f"{server}troupe", up)
    try:
        own.start()
        yield own
    finally:
        own.kill()
        socket_path.unlink(missing_ok=True)
