"""The process in front: starts the shop in a session of its own, passes on the wish to stop, leaves nothing behind.

Ctrl-C reaches all processes of a terminal's session at once, and a Ray whose parts all stop together cannot release
anything in order. So what runs Ray is kept out of the terminal's reach, and the process in front, which never imports
Ray, ends whatever is left, however the other one ended.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType

import psutil

from serve import preflight, processes
from serve.processes import Running
from serve.settings import Settings
from serve.settings_errors import is_secret, variable

Tell = Callable[[str], None]

STOP_SECONDS = 45.0
# A parent that was killed cannot say so: its child looks.
LOOK_SECONDS = 1.0


def end_leftovers(settings: Settings, tell: Tell) -> None:
    """Raises CannotStart if a shop runs on the data folder; ends what a crashed one left."""
    before = processes.noted(settings.data_dir)
    if before is None:
        return
    if processes.alive(before):
        raise preflight.CannotStart(
            f"A shop already runs on {settings.data_dir} (process {before.pid}, {before.url}). "
            "Stop it with `troupe stop`, or set TROUPE_DATA_DIR and TROUPE_PORT for a second one."
        )
    ended = processes.sweep(before.mark)
    if ended:
        tell(f"Ended {ended} processes that an earlier run left behind")
    processes.forget(settings.data_dir)


def supervise(settings: Settings, mark: str, demo: bool) -> int:
    """Runs the shop until a signal or its own end; answers with the exit code. Nothing of it is left afterwards."""
    me = psutil.Process()
    processes.note(settings.data_dir, Running(me.pid, me.create_time(), mark, settings.url))
    child = subprocess.Popen(
        [sys.executable, "-m", "serve.shop_process"],
        stdin=subprocess.PIPE,
        env={**inherited(os.environ), processes.MARK: mark},
        start_new_session=True,
    )
    asked = _pass_signals_on(child)
    try:
        assert child.stdin is not None
        # Secrets go through a pipe: arguments and environments can be looked at.
        child.stdin.write(json.dumps({"settings": settings.packed(), "demo": demo}).encode())
        child.stdin.close()
        # Until it says that it is not ready, answers what it had accepted, and releases what it has.
        return _wait(child, asked, settings.closing_seconds + settings.checkout_wait_seconds + STOP_SECONDS)
    finally:
        processes.sweep(mark)
        processes.forget(settings.data_dir)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What the shop's processes get of this one's: secrets reach them through a pipe, and need not stand there too."""
    secrets = {variable(name) for name, field in Settings.model_fields.items() if is_secret(field)}
    return {name: value for name, value in environment.items() if name.upper() not in secrets}


def _pass_signals_on(child: subprocess.Popen[bytes]) -> threading.Event:
    asked = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        if asked.is_set():
            child.kill()
        asked.set()
        if child.poll() is None:
            child.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return asked


def _wait(child: subprocess.Popen[bytes], asked: threading.Event, patience: float) -> int:
    while not asked.is_set():
        try:
            return child.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
    # However it ended, it was told to.
    return 0


class Stopping:
    """In the other process: set by SIGTERM, or when the process in front is gone."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parent = os.getppid()

    def listen(self) -> None:
        """To be said again once Ray is up, which sets handlers of its own."""

        def stop(number: int, _: FrameType | None) -> None:
            self._event.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait(self) -> None:
        while not self._event.wait(LOOK_SECONDS):
            if os.getppid() != self._parent:
                return

    @property
    def wanted(self) -> bool:
        return self._event.is_set() or os.getppid() != self._parent
