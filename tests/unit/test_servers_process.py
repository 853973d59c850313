"""Nothing that was started outlives who started it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.servers.process import Guarded, tail

# Starts a program with a child of its own, says their pids and waits to be killed.
PARENT = """
import sys, pathlib
from deploy.servers.process import Guarded
folder = pathlib.Path(sys.argv[1])
(folder / "data").mkdir()
script = 'sleep 100 & echo $! > "$0"; wait'
started = Guarded(["/bin/sh", "-c", script, str(folder / "child")], log=folder / "log", remove=folder / "data")
print(started.pid, started._guard.pid, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    """A zombie, whose parent has yet to look, is dead."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def started(folder: Path) -> tuple["subprocess.Popen[str]", list[int]]:
    """A process that started another one: its own, and the pids of the other, of the guard and of the other's child."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(one) for one in parent.stdout.readline().split()]
    child = folder / "child"
    assert eventually(lambda: child.exists() and child.read_text().endswith("\n"))
    return parent, [*pids, int(child.read_text())]


def close(parent: "subprocess.Popen[str]") -> None:
    parent.kill()
    parent.communicate()


def test_nothing_is_left_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent, pids = started(tmp_path)
    assert all(alive(pid) for pid in pids)
    close(parent)
    assert eventually(lambda: not any(alive(pid) for pid in pids))
    assert eventually(lambda: not (tmp_path / "data").exists())


def test_a_program_dies_with_its_guard(tmp_path: Path) -> None:
    parent, (program, guard, _) = started(tmp_path)
    os.kill(guard, signal.SIGKILL)
    assert eventually(lambda: not alive(program))
    close(parent)


def test_a_paused_program_dies_too(tmp_path: Path) -> None:
    parent, pids = started(tmp_path)
    os.killpg(pids[0], signal.SIGSTOP)
    close(parent)
    assert eventually(lambda: not any(alive(pid) for pid in pids))


def test_kill_takes_the_whole_group(tmp_path: Path) -> None:
    script = f"sleep 100 & echo $! > {tmp_path}/child; wait"
    program = Guarded(["/bin/sh", "-c", script], log=tmp_path / "log")
    assert eventually(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    program.kill()
    assert not program.running
    assert not alive(program.pid)
    assert eventually(lambda: not alive(int((tmp_path / "child").read_text())))


def test_what_asks_to_end_reaches_the_program(tmp_path: Path) -> None:
    script = f"trap 'echo asked; exit 3' TERM; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    program = Guarded(["/bin/sh", "-c", script], log=tmp_path / "log")
    assert eventually((tmp_path / "ready").exists)
    assert program.stop(10)
    assert program.wait(10) == 3
    assert tail(tmp_path / "log", 1) == "asked"


def test_signals_that_the_guard_ignores_are_not_ignored_by_the_program(tmp_path: Path) -> None:
    script = "import signal, sys; sys.exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)"
    program = Guarded([sys.executable, "-c", script], log=tmp_path / "log")
    assert program.wait(20) == 0


def test_a_program_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    program = Guarded([str(tmp_path / "nothing")], log=tmp_path / "log")
    assert program.wait(10) == 127
    assert "nothing cannot be started: " in tail(tmp_path / "log", 1)
