"""The configuration of an HAProxy over the shop's nodes: a balancer that knows which of them are ready, and no more."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from serve.edge.front_door import READY_PATH, SILENT_SECONDS, EdgeError, FrontDoor, Node, Service

SHOP = "shop"
_HIDDEN = "/metrics /api/health /-"


class Choices(NamedTuple):
    """`certificate`: a PEM file with the chain and the key. `socket`: where it takes orders, as to drain a node."""

    listen: Node
    certificate: Path | None = None
    socket: Path | None = None


def configuration(door: FrontDoor, choices: Choices) -> str:
    """The whole file. Raises EdgeError for a path that HAProxy would not read as one word."""
    for path in (choices.certificate, choices.socket):
        if path is not None and re.search(r"[^\w./-]", str(path), re.ASCII):
            raise EdgeError(f"{path}: HAProxy's configuration takes letters, digits and . _ / - only.")
    sections = [
        ("global", _global(choices)),
        ("defaults", _DEFAULTS),
        (f"frontend {SHOP}", _frontend(door.apart, choices)),
        (f"backend {SHOP}", _backend(door.usual)),
        *((f"backend {service.name}", _backend(service.nodes)) for service in door.apart),
    ]
    return "\n".join(f"{name}\n" + "".join(f"    {line}\n" for line in lines) for name, lines in sections)


def _global(choices: Choices) -> Iterable[str]:
    # How many connections it may have follows from the limit of open files that it is started with.
    yield "log stdout format raw daemon notice"
    yield "hard-stop-after 90s"
    yield "ssl-default-bind-options ssl-min-ver TLSv1.2"
    if choices.socket is not None:
        yield f"stats socket {choices.socket} mode 600 level admin"


_DEFAULTS = (
    "mode http",
    "log global",
    "option forwardfor",
    "option redispatch 1",
    "retries 3",
    "# What comes back without the request's having been sent goes to another node; what reads may be asked twice.",
    "retry-on conn-failure empty-response",
    "timeout connect 1s",
    "timeout queue 5s",
    "timeout http-request 20s",
    "timeout http-keep-alive 60s",
    f"timeout client {SILENT_SECONDS}s",
    f"timeout server {SILENT_SECONDS}s",
)


def _frontend(own: Iterable[Service], choices: Choices) -> Iterable[str]:
    tls = "" if choices.certificate is None else f" ssl crt {choices.certificate} alpn h2,http/1.1"
    yield f"bind {choices.listen}{tls}"
    yield f"http-request return status 404 if {{ path {_HIDDEN} }} || {{ path -m beg {_beginning(_HIDDEN.split())} }}"
    yield "http-request disable-l7-retry if !METH_GET"
    for service in own:
        starts = " ".join(service.starts)
        yield f"use_backend {service.name} if {{ path {starts} }} || {{ path -m beg {_beginning(service.starts)} }}"
    yield f"default_backend {SHOP}"


def _beginning(starts: Iterable[str]) -> str:
    return " ".join(f"{start}/" for start in starts)


def _backend(nodes: tuple[Node, ...]) -> Iterable[str]:
    yield "balance leastconn"
    yield "option httpchk"
    yield f"http-check send meth GET uri {READY_PATH} ver HTTP/1.1 hdr Host {SHOP}"
    yield "http-check expect status 200"
    # A node that closes says for TROUPE_CLOSING_SECONDS that it is not ready: what it has goes on, nothing new comes.
    yield "default-server check inter 500ms fall 2 rise 1 pool-purge-delay 3s init-addr last,libc,none"
    for number, node in enumerate(nodes, 1):
        yield f"server node{number} {node}"
