"""Which processes a request went through: found by the connections that they have, not by what should be."""

from typing import Any, NamedTuple

import psutil

Address = tuple[str, int]


class Process(NamedTuple):
    pid: int
    name: str
    address: Address

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid}) at {self.address[0]}:{self.address[1]}"


def accepted_by(server: Address, client: Address) -> Process | None:
    """The process with the other end of a connection; None if that cannot be seen, as of another user's process."""
    for one in _connections():
        if one.pid and _is(one.laddr, server) and _is(one.raddr, client):
            return _named(one.pid, server)
    return None


def passes_on_to(pid: int) -> tuple[Process, ...]:
    """The processes that a balancer has connections to, other than itself, on this machine."""
    listening = {one.laddr.port: one.pid for one in _connections() if one.status == psutil.CONN_LISTEN and one.pid}
    found: dict[int, Process] = {}
    for one in _connections():
        behind = listening.get(one.raddr.port) if one.raddr and one.pid == pid else None
        if behind is not None and behind != pid:
            found[behind] = _named(behind, (one.raddr.ip, one.raddr.port))
    return tuple(found.values())


def _connections() -> list[Any]:
    try:
        return list(psutil.net_connections(kind="tcp"))
    except psutil.Error:
        return []


def _is(address: Any, wanted: Address) -> bool:
    return bool(address) and (address.ip.removeprefix("::ffff:"), address.port) == wanted


def _named(pid: int, address: Address) -> Process:
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        # Ray writes what a worker does into its command line.
        name = command[0] if command and command[0].startswith("ray::") else process.name()
    except psutil.Error:
        name = "a process"
    return Process(pid, name, address)
