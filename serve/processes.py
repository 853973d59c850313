"""The processes of one running shop: known by a mark in their environment, so that none is left behind."""

import json
import os
import time
from pathlib import Path

import msgspec
import psutil

MARK = "TROUPE_RUN"
PATIENCE = 5.0


class Running(msgspec.Struct):
    """What a running shop writes into its data folder. `mark` is in the environment of all its processes."""

    pid: int
    started: float
    mark: str
    url: str


def _file(folder: Path) -> Path:
    return folder / "troupe.json"


def note(folder: Path, running: Running) -> None:
    """Readable by its owner only: whoever has the mark and the address could meddle."""
    path = _file(folder)
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(running))


def forget(folder: Path) -> None:
    _file(folder).unlink(missing_ok=True)


def noted(folder: Path) -> Running | None:
    """What was written by the last shop on this folder, whether it still runs or not."""
    try:
        return msgspec.json.decode(_file(folder).read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError, json.JSONDecodeError):
        return None


def _closing_file(folder: Path) -> Path:
    return folder / "closing"


def note_closing(folder: Path, closing: bool) -> None:
    """Tells the other processes of the shop whether it is about to close: from then on it is not ready."""
    if closing:
        _closing_file(folder).touch(mode=0o600)
    else:
        _closing_file(folder).unlink(missing_ok=True)


def is_closing(folder: Path) -> bool:
    return _closing_file(folder).exists()


def alive(running: Running) -> bool:
    """Whether its main process still runs; another process under the same number does not count."""
    try:
        process = psutil.Process(running.pid)
        return abs(process.create_time() - running.started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked(mark: str) -> list[psutil.Process]:
    """All processes of a shop but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def sweep(mark: str, patience: float = PATIENCE) -> int:
    """Ends every process of a shop, gently first; answers how many there were."""
    processes = marked(mark)
    for process in processes:
        _signal(process, kill=False)
    psutil.wait_procs(processes, timeout=patience)
    until = time.monotonic() + patience
    while (left := marked(mark)) and time.monotonic() < until:
        for process in left:
            _signal(process, kill=True)
        psutil.wait_procs(left, timeout=1.0)
    return len(processes)


def _signal(process: psutil.Process, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        return
