"""The description of a shop's interface, and which of the statuses in it were really answered.

`Interface.client` makes clients whose every answer is held against the description and counted.
"""

import http.client
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import schemathesis
from schemathesis.specs.openapi import checks as conformance

Json = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
CHECKS: list[Any] = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
NOBODY = "nothing-is-called-so"
"""Stands in paths where an id should."""


class Operation(NamedTuple):
    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in self.described["responses"] if status.isdigit()]

    def at(self, **ids: str) -> str:
        """Its path with ids in it; what is not given is an id of nothing, or a number."""
        numbers = {
            one["name"]
            for one in self.described.get("parameters", ())
            if one["in"] == "path" and one.get("schema", {}).get("type") == "integer"
        }

        def found(match: re.Match[str]) -> str:
            name = match[1]
            return ids.get(name, "7" if name in numbers else NOBODY)

        return re.sub(r"{(\w+)}", found, self.path)

    @property
    def takes_a_body(self) -> bool:
        return "application/json" in self.described.get("requestBody", {}).get("content", {})

    @property
    def streams(self) -> bool:
        return "text/event-stream" in self.described["responses"].get("200", {}).get("content", {})

    @property
    def by_fastapi(self) -> bool:
        """Its description is FastAPI's own; what any route may answer was added to it."""
        return "default" in self.described["responses"]

    def parameters(self, place: str) -> list[Json]:
        return [one for one in self.described.get("parameters", ()) if one["in"] == place]


class Interface:
    """`failures`: what an answer had that its description has not, by operation and status; the first of each."""

    def __init__(self, url: str, document: Json) -> None:
        self.url = url
        self.document = document
        self.schema = schemathesis.openapi.from_dict(document)
        self.operations = [
            Operation(method.upper(), path, described)
            for path, operations in document["paths"].items()
            for method, described in operations.items()
            if method in METHODS
        ]
        self.seen: defaultdict[str, set[int]] = defaultdict(set)
        self.failures: dict[tuple[str, int], str] = {}
        self._templates = [(one, re.compile(re.sub(r"{\w+}", "[^/]+", one.path) + "$")) for one in self.operations]

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hooks: dict[str, list[Callable[..., Any]]] = {"response": [self._note_answer]}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0, event_hooks=hooks)

    def note(self, operation: Operation, status: int, check: Callable[[], object], about: str) -> None:
        """Counts an answer; `check` raises if it is not as described."""
        self.seen[operation.name].add(status)
        documented = status in operation.statuses or ("default" in operation.described["responses"] and status < 500)
        if status == 500 or not documented:
            self.failures.setdefault((operation.name, status), about)
        try:
            check()
        except (schemathesis.errors.SchemathesisError, BaseExceptionGroup, AssertionError) as wrong:
            self.failures.setdefault((operation.name, status), str(wrong))

    def unseen(self) -> list[tuple[str, int]]:
        """Each documented status that nobody got."""
        return [
            (one.name, status)
            for one in self.operations
            for status in one.statuses
            if status not in self.seen[one.name]
        ]

    def operation_of(self, method: str, path: str) -> Operation | None:
        """Names in a template go before parameters."""
        found = [one for one, template in self._templates if one.method == method and template.fullmatch(path)]
        return min(found, key=lambda one: one.path.count("{")) if found else None

    def example(self, operation: Operation) -> Any:
        """A body that fits: given as a whole, or put together from those of its fields. None if there is none."""
        content = operation.described["requestBody"]["content"]["application/json"]
        if "example" in content:
            return content["example"]
        schema = self._resolved(content["schema"])
        if schema.get("examples"):
            return schema["examples"][0]
        examples = {n: f["examples"][0] for n, f in schema.get("properties", {}).items() if f.get("examples")}
        return examples if set(schema.get("required", ())) <= set(examples) else None

    def with_body(self) -> Iterator[Operation]:
        yield from (one for one in self.operations if one.takes_a_body)

    def _resolved(self, schema: Json) -> Json:
        for one in (schema, *schema.get("anyOf", ())):
            if "$ref" in one:
                found: Json = self.document["components"]["schemas"][one["$ref"].rpartition("/")[2]]
                return found
        return schema

    def _note_answer(self, answer: httpx.Response) -> None:
        operation = self.operation_of(answer.request.method, answer.request.url.path)
        if operation is None:
            return
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            self.seen[operation.name].add(answer.status_code)
            return
        answer.read()
        described = self.schema[operation.path][operation.method]

        def check() -> None:
            described.validate_response(answer)

        self.note(operation, answer.status_code, check, answer.text)


class RawAnswer(NamedTuple):
    status: int
    body: Json


def announced(url: str, operation: Operation, length: int, token: str) -> RawAnswer:
    """The answer to somebody who announces a body of so many bytes and sends none of it."""
    address = httpx.URL(url)
    connection = http.client.HTTPConnection(address.host, address.port or 80, timeout=30.0)
    try:
        connection.putrequest(operation.method, operation.at())
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(length))
        connection.putheader("Authorization", f"Bearer {token}")
        connection.endheaders()
        answer = connection.getresponse()
        return RawAnswer(answer.status, json.loads(answer.read()))
    finally:
        connection.close()
