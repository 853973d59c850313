"""Programs that never outlive this process, also if it is killed with -9: each has a guard (guard.py)."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")


class Guarded:
    """A running program. It ends when it ends, when it is told to, or when this process ends, however that happens."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: int | None = None,
        remove: Path | None = None,
    ) -> None:
        """Starts it in ``folder``, its output goes to the log's end; ``remove`` goes if this process ends first."""
        theirs, self._lifeline = os.pipe()
        told, report = os.pipe()
        guard = [sys.executable, "-I", "-S", str(GUARD), str(theirs), str(report)]
        try:
            with log.open("ab") as output:
                self._guard = subprocess.Popen(
                    [*guard, "" if user is None else str(user), str(remove or ""), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    env=None if environment is None else dict(environment),
                    pass_fds=(theirs, report),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._lifeline)
            os.close(told)
            raise
        finally:
            os.close(theirs)
            os.close(report)
        with open(told, "rb") as line:
            self.pid = int(line.readline() or 0)  # 0: there is no such program, the log says why

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the program and all that it started; does nothing once it has ended."""
        if self.pid and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Its status, 128 and more for a signal; None: it still runs."""
        try:
            status = self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return status

    def kill(self) -> None:
        """Kills it with -9 and waits until it is gone."""
        self.send(signal.SIGKILL)
        if self.wait(10) is None:  # a guard that is stuck: the kernel ends the program with it
            self._guard.kill()
            self.wait(10)

    def stop(self, seconds: float) -> bool:
        """Asks it to end and waits; False: it had to be killed."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        if self.wait(seconds) is not None:
            return True
        self.kill()
        return False


def tail(log: Path, lines: int) -> str:
    """A log's last lines."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 400 * lines))
            found = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(found[-lines:])


def until(deadline: float) -> float:
    """Seconds left until a deadline on the monotonic clock, never below 0."""
    return max(0.0, deadline - time.monotonic())
