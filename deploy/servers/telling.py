"""What is said while servers are downloaded and started, and how that is broken off."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deploy.servers.process import Guarded, tail


class Missing(Exception):
    """A server that this machine cannot run; says why."""


class Broken(Exception):
    """A server that this machine can run did not start; says what its log says."""


class Stopped(Exception):
    """Somebody asked to end while something was still going on."""


class Telling:
    """Tells on a terminal one changing line a server, elsewhere a line for each step. Several threads may use it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.stopped = threading.Event()
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._live = Progress(*columns, console=self.console, transient=True) if self.console.is_terminal else None
        self._rows: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Telling":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def step(self, server: str, what: str, *, line: bool = True) -> None:
        """Says what goes on; ``line=False`` is too small for a line of its own where lines don't change."""
        with self._lock:
            self._began.setdefault(server, time.monotonic())
            if self._live is None:
                if line:
                    self.say(f"{server:<14} {what}")
                return
            if server not in self._rows:
                self._rows[server] = self._live.add_task("")
            self._live.update(self._rows[server], description=f"{server:<14} {what}")

    def done(self, server: str, what: str) -> None:
        """Says how a server's steps ended, with the seconds that they took."""
        with self._lock:
            seconds = time.monotonic() - self._began.pop(server, time.monotonic())
            if self._live and server in self._rows:
                self._live.remove_task(self._rows.pop(server))
            self.say(f"{server:<14} {what} ({seconds:.1f} s)")

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def pause(self, seconds: float) -> None:
        """Waits; raises Stopped as soon as somebody wants to end."""
        if self.stopped.wait(seconds):
            raise Stopped

    def run(
        self,
        server: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        seconds: float = 900,
        growing: Path | None = None,
        fails: type[Exception] = Missing,
    ) -> None:
        """Runs a tool such as mvn, whose output goes to a log; tells how large the folder ``growing`` has become.

        Raises ``fails`` with the log's end if it fails or takes longer than ``seconds``, Stopped.
        """
        began = time.monotonic()
        name = Path(command[0]).name
        tool = Guarded(command, log=log, environment=environment, folder=folder)
        try:
            while (status := tool.wait(0.2)) is None:
                self.pause(0)
                if growing is not None:
                    self.step(server, f"downloading, {size(growing) / 1e6:.0f} MB", line=False)
                if time.monotonic() - began > seconds:
                    raise fails(f"{name} was not done after {seconds:.0f} s")
        finally:
            tool.kill()
        if status:
            raise fails(f"{name} failed with status {status}: {brief(tail(log, 6))}")


def size(folder: Path) -> int:
    """Bytes of all files below a folder that may change meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def brief(text: str, most: int = 400) -> str:
    """A text on one line, its end only if it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"…{text[-most:]}"
