"""Where and on what a result was measured: without it a number says little."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

PACKAGES = ("ray", "fastapi", "uvicorn", "uvloop", "sqlalchemy", "pymysql", "msgspec")


class Machine(msgspec.Struct):
    """The machine and the versions; nothing that names it or its owner."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    fsync_ms: float
    """Median of 50 writes of 4 KiB, each with fsync, in the folder of the data."""
    load_before: float
    """The one-minute load average before the first run: what else the machine had to do."""
    packages: dict[str, str]
    commit: str


def describe(folder: Path) -> Machine:
    """Looks at this machine; `folder` is where the data of the targets will be."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        fsync_ms=round(_fsync(folder), 3),
        load_before=round(os.getloadavg()[0], 2),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        commit=commit(Path(__file__).resolve().parent),
    )


def commit(folder: Path) -> str:
    """The commit that is checked out, "+" behind it if the sources of the project differ from it."""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.exists():
        for line in about.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _fsync(folder: Path) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times)
