"""Runs one program and sees to it that the program never outlives whoever asked for it, whatever becomes of either.

Started as ``python -I -S guard.py LIFELINE REPORT USER FOLDER COMMAND…``. LIFELINE is the end of a pipe: when its other
end closes (the parent has ended, even by kill -9), the program's whole process group is killed and FOLDER removed. If
the guard itself is killed, the kernel kills the program (Linux). REPORT gets the program's pid. USER is its uid.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

SET_PARENT_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
ASKING_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_AGAIN_MS = 500


def dies_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """What a new process calls before it becomes another program. Its parent is a thread, which must live on."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(SET_PARENT_DEATH_SIGNAL, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def kill_group(leader: int) -> None:
    """Kills a process and all that it started, as long as they did not leave its group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def watch(program: "subprocess.Popen[bytes]", lifeline: int) -> bool:
    """Waits for the program's end. False: the parent's end came first."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = os.getppid()
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while program.poll() is None:
        ready = dict(poll.poll(LOOK_AGAIN_MS))
        if lifeline in ready or os.getppid() != parent:
            return False
        if woken in ready:
            os.read(woken, 512)
    return True


def main(lifeline: int, report: int, user: str, folder: str, command: list[str]) -> int:
    """Runs the command; returns its status, or 128 and the signal that ended it."""
    for number in ASKING_TO_END:
        signal.signal(number, signal.SIG_IGN)
    uid = int(user) if user else None
    follow = dies_with_parent()

    def become() -> None:
        for number in ASKING_TO_END:  # what is ignored stays ignored in a new program, and Java then never hears of it
            signal.signal(number, signal.SIG_DFL)
        follow()

    try:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=become,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error}\n")
        return 127
    os.write(report, b"%d\n" % program.pid)
    os.close(report)
    ended = watch(program, lifeline)
    kill_group(program.pid)
    status = program.wait()
    if not ended and folder:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rmdir(os.path.dirname(folder))
        except OSError:
            return 1  # others still have their data in it
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]))
