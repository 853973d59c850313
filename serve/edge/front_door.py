"""What a front door must know of the shop: taken from the OpenAPI description and the settings, as plain data."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from serve.gateway.limiting import ADMIN
from serve.gateway.rate_limits import Limit
from serve.paths import PATHS, service_of
from serve.settings import Settings

Access = Literal["open", "checked", "token", "staff"]
"""Who may call: open: anybody; checked: anybody, but not with a bad token; token: users and guests; staff: users, and
which of them the service says."""

JWKS_PATH = "/.well-known/jwks.json"
READY_PATH = "/api/health/ready"
READING = ("GET", "HEAD", "OPTIONS")
STAFF = ADMIN.rstrip("/")
EVERYWHERE = "everywhere"
"""The name of what every process answers, whichever services it has."""
SILENT_SECONDS = 75
"""How long nothing may be heard of an answer; a checkout waits 30 s at most, streams say something each 15 s."""
_PAGES = ("/docs", "/openapi.json")
# Who logs in or refreshes a session may still send the old token with it; the service looks at it where it counts.
_BEARS_BAD_TOKENS = "users"
_METHODS = ("get", "post", "put", "patch", "delete")


class EdgeError(Exception):
    """A text for people: what cannot be made into a configuration."""


class Node(NamedTuple):
    """Where one of the shop's machines listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Service(NamedTuple):
    """`starts`: what its paths begin with, whole segments."""

    name: str
    starts: tuple[str, ...]
    nodes: tuple[Node, ...]


class Operation(NamedTuple):
    """One method of one path template; HEAD goes with GET."""

    method: str
    path: str
    access: Access
    service: str

    @property
    def methods(self) -> str:
        """A regular expression."""
        return "GET|HEAD" if self.method == "GET" else self.method

    @property
    def pattern(self) -> str:
        """A regular expression of the whole path."""
        return re.sub(r"\\\{[^{}]+\\\}", "[^/]+", re.escape(self.path)).replace(r"\-", "-")


class FrontDoor(NamedTuple):
    """`limits`: for all callers of one address together, by class of routes: read, write, staff; none: not limited."""

    services: tuple[Service, ...]
    operations: tuple[Operation, ...]
    limits: tuple[Limit, ...]
    max_body: int
    origins: tuple[str, ...]

    def service(self, name: str) -> Service:
        return next(one for one in self.services if one.name == name)

    @property
    def usual(self) -> tuple[Node, ...]:
        """Where all runs that has no nodes of its own."""
        return self.service(EVERYWHERE).nodes

    @property
    def apart(self) -> tuple[Service, ...]:
        """Those with nodes of their own."""
        return tuple(one for one in self.services if one.nodes != self.usual)


def front_door(
    description: Mapping[str, Any], settings: Settings, nodes: Iterable[Node], own: Mapping[str, Iterable[Node]]
) -> FrontDoor:
    """`nodes`: where whatever is not in `own` runs, services by name. Raises EdgeError."""
    usual = tuple(dict.fromkeys(nodes))
    if unknown := sorted(set(own) - set(PATHS)):
        raise EdgeError(f"There is no service {', '.join(unknown)}; there are {', '.join(PATHS)}.")
    found = {name: tuple(dict.fromkeys(own.get(name, usual))) for name in PATHS}
    found[EVERYWHERE] = usual or next((of for of in found.values() if of), ())
    if lacking := sorted(name for name, of in found.items() if not of):
        raise EdgeError(f"No node is named for {', '.join(lacking)}.")
    operations = tuple(sorted(_operations(description), key=_specific_first))
    others = {one.path for one in operations if one.service == EVERYWHERE}
    starts = {**PATHS, EVERYWHERE: (*_PAGES, *sorted(others))}
    services = tuple(Service(name, starts[name], found[name]) for name in starts)
    return FrontDoor(services, operations, _limits(settings), settings.max_body_bytes, settings.cors_origins)


def node(text: str) -> Node:
    """A node from host:port. Raises EdgeError."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", text)
    if found is None or not 0 < int(found[2]) < 65_536:
        raise EdgeError(f"{text!r:.80} is no node such as 10.0.0.1:8000.")
    return Node(found[1].strip("[]"), int(found[2]))


def _operations(description: Mapping[str, Any]) -> Iterable[Operation]:
    for path, methods in description["paths"].items():
        for method in _METHODS:
            if method in methods:
                service = service_of(path) or EVERYWHERE
                yield Operation(method.upper(), path, _access(path, service, methods[method]), service)


def _access(path: str, service: str, operation: Mapping[str, Any]) -> Access:
    if path.startswith(ADMIN):
        return "staff"
    if operation.get("security"):
        return "token"
    return "open" if service == _BEARS_BAD_TOKENS else "checked"


def _specific_first(operation: Operation) -> tuple[list[tuple[bool, str]], str]:
    """Words go before parameters, as the shop looks for them."""
    return [(part.startswith("{"), part) for part in operation.path.split("/")], operation.method


def _limits(settings: Settings) -> tuple[Limit, ...]:
    if not settings.rate_limits:
        return ()
    times = settings.rate_address_factor
    return tuple(
        Limit(group, settings.rate_per_minute * times, settings.rate_burst * times)
        for group in ("read", "write", "staff")
    )
