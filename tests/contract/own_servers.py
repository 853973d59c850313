"""A server of the test's own, to be killed: the same program as the one at the address, with new data."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

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
