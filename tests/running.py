"""Runs whole shops for tests: `troupe run` as processes of their own, on a free port and a folder of their own."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_origin

import httpx
import psutil

from serve import processes
from serve import settings as settings_module
from serve.cluster import temporary_folders
from serve.gateway.keys import Keys
from serve.gateway.tokens import Tokens
from serve.users.store import open_engine
from tests.waiting import eventually

READY_SECONDS = 180.0
STOP_SECONDS = 120.0
LOG_TAIL = 8_000
CHEAP_PASSWORDS = {"TROUPE_ARGON2_MEMORY_KIB": "64", "TROUPE_ARGON2_TIME_COST": "1"}


class RunningShop:
    """`with RunningShop(TROUPE_HOSTS="2") as shop:` starts it, waits until it is ready, and leaves nothing behind.

    The keywords are settings, by the names of their variables. `services`: these alone, by `troupe serve`.
    """

    def __init__(self, *, demo: bool = False, services: Sequence[str] = (), **variables: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shop-"))
        self._command = ["serve", *services] if services else ["run", "--demo" if demo else "--no-demo"]
        self.port = free_port()
        self.variables = {**CHEAP_PASSWORDS, **variables}
        self.settings = settings_module.load(
            port=self.port,
            data_dir=self.folder / "data",
            **_read(self.variables),
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0  # where the log of the present run begins
        self._asked = False
        self._token = ""
        self._token_until = 0.0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            self.remove()

    # Its life

    def start(self) -> None:
        """Also after `stop` or `kill`: on the same data. Raises AssertionError with the log if it does not come up."""
        self._began = len(self.log())
        self._asked = False
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serve.cli.main", *self._command],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(self._is_ready, READY_SECONDS)
        except BaseException:
            sys.stderr.write(f"The shop did not come up. Its log:\n{self.log()[-LOG_TAIL:]}\n")
            raise

    def ask_to_stop(self) -> None:
        """SIGTERM, once: a second one would not let it end in order."""
        if self._process is not None and not self._asked:
            self._process.send_signal(signal.SIGTERM)
            self._asked = True

    def stop(self) -> None:
        """In order. Raises AssertionError if it does not end well or leaves a process behind."""
        if self._process is None:
            return
        mark = self._mark()
        self.ask_to_stop()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"SIGTERM did not end it within {STOP_SECONDS:g} s:\n{self.log()}") from None
        self._process = None
        left = [process.info["name"] for process in self.marked(mark)]
        assert not left, f"these were left behind: {left}"
        assert code == 0, f"it ended with {code}:\n{self.log()[-LOG_TAIL:]}"

    def kill(self) -> None:
        """kill -9 of every process of the shop at once, as when the machine dies."""

        def nothing_left() -> bool:
            everything = [*self.marked(), *self._own_processes()]
            for process in everything:
                end(process)
            psutil.wait_procs(everything, timeout=5.0)
            return not everything

        eventually(nothing_left)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            self._process = None

    def remove(self) -> None:
        """Whatever is left of it: processes, data, what Ray and HAProxy keep under the temporary folder."""
        self.kill()
        for folder in [self.folder, *temporary_folders(self.settings.data_dir)]:
            shutil.rmtree(folder, ignore_errors=True)

    def log(self) -> str:
        """What `troupe run` printed, since the first start."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    # Its processes

    def hosts(self) -> list[psutil.Process]:
        """The processes of the hosts of entities, the oldest first."""
        return self.titled("ray::HostActor")

    def replicas(self) -> list[psutil.Process]:
        """The processes that answer HTTP, the oldest first."""
        return self.titled("ray::ServeReplica")

    def head(self) -> list[psutil.Process]:
        """What Ray's head is: its control store and its node manager."""
        return self.titled("gcs_server", "raylet")

    def titled(self, *beginnings: str) -> list[psutil.Process]:
        """Processes of the shop whose title, or the name of whose program, begins so; the oldest first."""
        return [process for process in self.marked() if _title(process).startswith(beginnings)]

    def marked(self, mark: str | None = None) -> list[psutil.Process]:
        """Every process that the shop started, the oldest first; not `troupe run` itself."""
        wanted = mark or self._mark()
        found = []
        for process in psutil.process_iter(["name", "create_time"]):
            try:
                if process.environ().get(processes.MARK) == wanted and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: float(process.info["create_time"]))

    def ray(self) -> tuple[str, dict[str, str]]:
        """The address of its Ray, and the environment of a program that is to use it."""
        raylet = self.titled("raylet")[0]
        # Its command line has those of its children in it.
        address = re.findall(r"--gcs-address=(\S+)", " ".join(raylet.cmdline()))[0]
        of_ray = {name: value for name, value in raylet.environ().items() if name.startswith("RAY_")}
        return address, {**self._environment(), **of_ray, processes.MARK: self._mark()}

    def troupe(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `troupe` with the shop's settings to its end."""
        return subprocess.run(
            [sys.executable, "-m", "serve.cli.main", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS,
            check=False,
        )

    # Calling it

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60.0)

    def token(self, user_id: str, *roles: str) -> str:
        """An access token of a few minutes, signed with the keys in the data folder."""

        async def made() -> str:
            engine = open_engine(self.settings.database_url("users"))
            try:
                return await Tokens(Keys(engine)).access(user_id, roles, "tests")
            finally:
                engine.dispose()

        # In a thread of its own, so that asynchronous tests may call this as well.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, made()).result()

    def staff_token(self) -> str:
        """Made anew before it ends."""
        if time.monotonic() > self._token_until:
            self._token, self._token_until = self.token("operator", "staff"), time.monotonic() + 120.0
        return self._token

    # Within

    @property
    def _log_file(self) -> Path:
        return self.folder / "run.log"

    def _mark(self) -> str:
        noted = processes.noted(self.settings.data_dir)
        return noted.mark if noted is not None else "none"

    def _own_processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        return [psutil.Process(self._process.pid)]

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TROUPE_", "RAY_"))}
        place = {"TROUPE_PORT": str(self.port), "TROUPE_DATA_DIR": str(self.settings.data_dir)}
        return {**inherited, **place, **self.variables}

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended with {self._process.returncode}")
        try:
            answer = httpx.get(f"{self.url}/api/health/ready", timeout=10.0)
        except httpx.HTTPError:
            return False
        # The place is told last, when the shop knows how to end in order.
        return answer.status_code == 200 and re.search("(?i)open after", self.log()[self._began :]) is not None


def end(process: psutil.Process) -> None:
    """kill -9; one that is gone already is fine."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


@contextmanager
def paused(process: psutil.Process) -> Iterator[None]:
    """As if its machine stood still; it goes on at the end of the block and knows nothing of it."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(variables: Mapping[str, str]) -> dict[str, Any]:
    """As the shop reads them from its environment: lists are JSON."""
    read: dict[str, Any] = {}
    for variable, value in variables.items():
        name = variable.removeprefix("TROUPE_").lower()
        is_list = get_origin(settings_module.Settings.model_fields[name].annotation) is tuple
        read[name] = json.loads(value) if is_list else value
    return read


def _title(process: psutil.Process) -> str:
    try:
        command = process.cmdline()
    except psutil.Error:
        return ""
    return Path(command[0]).name if command and command[0].startswith("/") else " ".join(command)
