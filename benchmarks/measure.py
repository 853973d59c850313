"""CPU time and memory of a target, by what its processes are."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import psutil

# In this order: a Serve replica is a Ray worker too. What matches nothing is called by the root of its tree.
_NAMES = (
    (re.compile(r"^ray::ServeReplica"), "replica"),
    (re.compile(r"^ray::.*Host"), "host"),
    (re.compile(r"^ray::.*(Flow|Pipeline)"), "flows"),
    (re.compile(r"^ray::.*Gateway"), "payment gateway"),
    (re.compile(r"^ray::(ServeController|.*Proxy)"), "serve"),
    (re.compile(r"^ray::IDLE"), "ray idle workers"),
    (re.compile(r"^ray::(\w+)"), r"\1"),
    (re.compile(r"(^|/)haproxy( |$)"), "haproxy"),
    (re.compile(r"(^|/)(raylet|gcs_server)( |$)|ray/_private/|ray/dashboard/"), "ray"),
    (re.compile(r"(^|/)(mariadbd|mysqld)( |$)"), "mariadbd"),
    (re.compile(r"benchmarks\.load"), "load"),
)


class Root(NamedTuple):
    """A process whose tree belongs to a target, and what its unnamed processes are called."""

    label: str
    pid: int


class Usage(msgspec.Struct):
    """One name's processes together: CPU seconds, resident bytes, how many."""

    cpu: float = 0.0
    rss: int = 0
    processes: int = 0


class Sample(NamedTuple):
    """CPU seconds since it began, resident bytes and name of each process, known by (pid, time of its start)."""

    by_process: dict[tuple[int, float], tuple[str, float, int]]


def name_of(command: str, otherwise: str) -> str:
    """What a process with this command line is called."""
    for pattern, name in _NAMES:
        found = pattern.search(command)
        if found is not None:
            return found.expand(name)
    return otherwise


def sample(roots: Iterable[Root]) -> Sample:
    """Looks at the trees of these roots now; a process that ends meanwhile is left out."""
    seen: dict[tuple[int, float], tuple[str, float, int]] = {}
    for root in roots:
        try:
            top = psutil.Process(root.pid)
            tree = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in tree:
            try:
                with process.oneshot():
                    if process.status() == psutil.STATUS_ZOMBIE:
                        continue
                    times = process.cpu_times()
                    name = name_of(" ".join(process.cmdline()), root.label)
                    key = (process.pid, process.create_time())
                    seen[key] = (name, times.user + times.system, process.memory_info().rss)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    return Sample(seen)


def between(before: Sample, after: Sample) -> dict[str, Usage]:
    """CPU seconds spent between two samples, and the memory at the second, by name.

    A process that began in between counts in full; what one spent that ended in between is lost.
    """
    usages: dict[str, Usage] = {}
    for key, (name, cpu, rss) in after.by_process.items():
        began = before.by_process.get(key)
        usage = usages.setdefault(name, Usage())
        usage.cpu += cpu - (began[1] if began is not None else 0.0)
        usage.rss += rss
        usage.processes += 1
    return usages


def marked(variable: str, value: str) -> list[int]:
    """Processes started with this environment variable: by it they stay known when their parent is gone.

    Only the topmost ones, so that no tree is counted twice.
    """
    found: dict[int, int | None] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                found[process.pid] = process.ppid()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return [pid for pid, parent in found.items() if parent not in found]
