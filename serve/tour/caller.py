"""Calls a shop over HTTP and keeps of each call what the answer and the connection tell."""

import re
import time
import uuid
from typing import Any, NamedTuple

import httpx
import jwt

from serve.gateway.idempotency import command_id
from serve.gateway.principals import ANONYMOUS, Principal
from serve.tour.connection import Process, accepted_by, passes_on_to

SECONDS = 60.0


class Called(NamedTuple):
    """One request and its answer. `service`: the tag of its operation in the shop's own description.

    `front`: the process that accepted the connection, `behind`: those that it has connections to. What cannot be seen
    from here (another machine, another user) is not told.
    """

    method: str
    path: str
    status: int
    milliseconds: int
    request_id: str
    principal: Principal
    service: str
    command: str | None
    front: Process | None
    behind: tuple[Process, ...]
    answer: httpx.Response

    @property
    def json(self) -> Any:
        return self.answer.json()


class CallFailed(Exception):
    """The shop did not answer as a tour needs it; a text for people."""


class Caller:
    """`keyed` writes carry an Idempotency-Key, by which their record is found in the journal."""

    def __init__(self, url: str) -> None:
        self._web = httpx.Client(base_url=url, timeout=SECONDS)
        self.document: dict[str, Any] = self._described()
        self._templates = [
            (method.upper(), path, re.compile(re.sub(r"{\w+}", "[^/]+", path) + "$"), described)
            for path, operations in self.document["paths"].items()
            for method, described in operations.items()
            if isinstance(described, dict) and "responses" in described
        ]

    def close(self) -> None:
        self._web.close()

    def offers(self, method: str, path: str) -> bool:
        """Whether the shop describes such an operation."""
        return method.lower() in self.document["paths"].get(path, {})

    def command_of(self, method: str, path: str, token: str, key: str) -> str:
        """The id that the gateway makes of a caller, a route and a key."""
        template, _ = self._operation(method, path)
        return command_id(principal_of(token).key, method, template, key)

    def call(self, method: str, path: str, token: str = "", key: str = "", **sent: Any) -> Called:
        """Raises CallFailed if the shop does not answer, or with another status than one of success."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["Idempotency-Key"] = key
        began = time.monotonic()
        try:
            answer = self._web.request(method, path, headers=headers, **sent)
        except httpx.HTTPError as error:
            raise CallFailed(f"{method} {path}: {type(error).__name__} {error}") from None
        milliseconds = round(1000 * (time.monotonic() - began))
        if answer.is_error:
            raise CallFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        _, service = self._operation(method, answer.request.url.path)
        front = _accepted(answer)
        return Called(
            method,
            answer.request.url.path,
            answer.status_code,
            milliseconds,
            answer.headers.get("x-request-id", ""),
            principal_of(token),
            service,
            self.command_of(method, path, token, key) if key else None,
            front,
            () if front is None else passes_on_to(front.pid),
            answer,
        )

    def _described(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._web.get("/openapi.json").raise_for_status().json()
        except httpx.HTTPError as error:
            raise CallFailed(f"No shop answers at {self._web.base_url}: {error}") from None
        return found

    def _operation(self, method: str, path: str) -> tuple[str, str]:
        """The template of a path, and its service. Names go before parameters."""
        found = [(t, d) for m, t, pattern, d in self._templates if m == method and pattern.fullmatch(path)]
        if not found:
            return path, ""
        template, described = min(found, key=lambda one: one[0].count("{"))
        return template, (described.get("tags") or [""])[0]


def new_key() -> str:
    return str(uuid.uuid4())


def principal_of(token: str) -> Principal:
    """Whom a token of ours names. It is the gateway that has to be convinced of it, not we."""
    if not token:
        return ANONYMOUS
    claims = jwt.decode(token, options={"verify_signature": False})
    if jwt.get_unverified_header(token).get("typ") == "guest+jwt":
        return Principal("guest", claims["sub"])
    return Principal("user", claims["sub"], frozenset(claims.get("roles", ())), claims.get("sid", ""))


def _accepted(answer: httpx.Response) -> Process | None:
    """Whoever has the other end of the connection that the answer came by."""
    stream = answer.extensions.get("network_stream")
    if stream is None:
        return None
    server, client = (stream.get_extra_info(name) for name in ("server_addr", "client_addr"))
    if not isinstance(server, tuple) or not isinstance(client, tuple):
        return None
    return accepted_by((str(server[0]), int(server[1])), (str(client[0]), int(client[1])))
