"""Lean routes for the hot paths: plain ASGI and msgspec.

A route is declared once; routing, validation, error answers and OpenAPI come from that declaration::

    routes = Routes(tag="carts")

    @routes.post("/api/cart/items", body=AddItem, answers={200: CartBody}, problems=("unknown_sku",),
                 summary="Add a product", example={"sku": "MUG-1", "quantity": 2}, access="anyone")
    async def add_item(request: Request) -> Response:
        item: AddItem = request.body
        return json(await carts.add(request.principal, item, request.command_id(), request.fingerprint()))

`serve.gateway.front.Front` serves them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from serve.gateway import card_numbers
from serve.gateway.idempotency import command_id, fingerprint
from serve.gateway.principals import ANONYMOUS, Access, Principal
from serve.gateway.problems import Problem, from_msgspec
from serve.gateway.rate_limits import Limit

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[["Request"], Awaitable["Response"]]
JSON = (b"content-type", b"application/json")
# Bodies that are searched for card numbers: bytes, since the search takes its time and nobody else runs meanwhile.
LARGEST_SEARCHED = 100_000
_encode = msgspec.json.Encoder().encode


class Response:
    """An answer. With `stream` the body is sent piece by piece, as the pieces come, and `body` is not used."""

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.stream = stream


def _raw(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    return [(k.lower().encode("ascii"), v.encode("latin-1")) for k, v in headers.items()] if headers else []


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value`: anything msgspec encodes."""
    return Response(status, _encode(value), [JSON, *_raw(headers)])


def empty(status: int = 204, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, b"", _raw(headers))


class Event(NamedTuple):
    """One server-sent event; `data` is encoded as JSON. `id` comes back in Last-Event-ID."""

    name: str
    data: Any
    id: str | None = None

    def encoded(self) -> bytes:
        head = f"id: {self.id}\nevent: {self.name}\n" if self.id is not None else f"event: {self.name}\n"
        return head.encode() + b"data: " + _encode(self.data) + b"\n\n"


async def _pieces(source: AsyncIterator[Event | None]) -> AsyncIterator[bytes]:
    async for event in source:
        yield b": still here\n\n" if event is None else event.encoded()


def events(source: AsyncIterator[Event | None], headers: Mapping[str, str] | None = None) -> Response:
    """Server-sent events. A None keeps the connection alive. The source is closed when the caller goes away."""
    fixed = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    return Response(200, b"", [*fixed, *_raw(headers)], _pieces(source))


class Request:
    """One request, checked against its route's declaration."""

    __slots__ = ("_headers", "body", "params", "path", "principal", "query", "raw_body", "request_id", "route", "scope")

    def __init__(
        self, scope: Mapping[str, Any], route: "Route", path: str, params: dict[str, Any], request_id: str
    ) -> None:
        self.scope = scope
        self.route = route
        self.path = path
        self.params = params
        self.request_id = request_id
        self.principal: Principal = ANONYMOUS
        self.query: Any = None
        self.body: Any = None
        self.raw_body = b""
        self._headers: dict[bytes, bytes] | None = None

    def header(self, name: str) -> str | None:
        """By its name in any case; None when it was not sent."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name.lower().encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def command_id(self) -> str | None:
        """The id of the command that this request's Idempotency-Key names; None without a key."""
        key = self.header("idempotency-key")
        return None if key is None else command_id(self.principal.key, self.route.method, self.route.path, key)

    def fingerprint(self) -> bytes:
        """Tells this request from another one under the same key."""
        return fingerprint(self.raw_body, self.path)

    def prefers(self, what: str) -> bool:
        """Whether the Prefer header names `what`: ``respond-async``."""
        return any(part.strip().lower() == what for part in (self.header("prefer") or "").replace(";", ",").split(","))


class Route:
    """The declaration of one operation."""

    def __init__(self, method: Method, path: str, handler: Handler, declared: "Declared") -> None:
        self.method = method
        self.path = path
        self.handler = handler
        self.declared = declared
        self.access: Access = declared.access
        self.limit = declared.limit
        self.has_body = declared.body is not None
        self._decode = msgspec.json.Decoder(declared.body).decode if declared.body is not None else None
        self._typed = {name: kind for name, kind in declared.params.items() if kind is not str}
        self._lists = frozenset(_list_fields(declared.query))
        segments = path.split("/")[1:]
        self.segments = [None if s.startswith("{") else s for s in segments]
        self.names = [s[1:-1] for s in segments if s.startswith("{")]
        unknown = set(declared.params) - set(self.names)
        if unknown:
            raise ValueError(f"{path} has no parameter {sorted(unknown)}")

    def convert_params(self, values: list[str]) -> dict[str, Any]:
        """Raises Problem `invalid_request`."""
        params: dict[str, Any] = dict(zip(self.names, values, strict=True))
        for name, kind in self._typed.items():
            try:
                params[name] = msgspec.convert(params[name], kind, strict=False)
            except msgspec.ValidationError as error:
                raise from_msgspec(error, f"path/{name}") from None
        return params

    def convert_query(self, query_string: bytes) -> Any:
        """The struct the query was declared as; unknown parameters are ignored. Raises Problem `invalid_request`."""
        if self.declared.query is None:
            return None
        values: dict[str, Any] = {}
        for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
            if name in self._lists:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        try:
            return msgspec.convert(values, self.declared.query, strict=False)
        except msgspec.ValidationError as error:
            raise from_msgspec(error, "query") from None

    def decode(self, body: bytes) -> Any:
        """Raises Problem `malformed_json`, `card_number_not_accepted` or `invalid_request`."""
        if self._decode is None:
            return None
        if not body:
            raise Problem("malformed_json", "A JSON body is needed.")
        if self.declared.refuses_cards and len(body) > LARGEST_SEARCHED:
            raise Problem("body_too_large", f"At most {LARGEST_SEARCHED} bytes.")
        if self.declared.refuses_cards and card_numbers.in_body(body, self.declared.long_numbers):
            # Before anything else looks at it: what is found wrong with a body may be told and logged.
            raise Problem("card_number_not_accepted", "Send the payment gateway's reference, never a card's number.")
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise from_msgspec(error, "body") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem("malformed_json", f"The body is not JSON: {error}.") from None


def _list_fields(query: type[msgspec.Struct] | None) -> Iterator[str]:
    for name, kind in get_type_hints(query).items() if query is not None else ():
        if get_origin(kind) in (list, tuple, set, frozenset):
            yield name


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a route says of itself.

    `body`, `query` and the values of `answers` are types msgspec knows (None: no body); `params` gives the types of
    path parameters that are not plain text, ``Annotated[int, msgspec.Meta(ge=1, description="...")]``; `headers` are
    those read, each with a sentence; `problems` are the codes it may answer besides those that every route may.
    `examples`: of types in `answers`; they stand in their schemas.
    `as_text`: the JSON of a body may also come as text/plain, as some who call us cannot help sending it.
    `refuses_cards`: a body with what passes for a card's number is refused, but for the fields named `long_numbers`.
    """

    summary: str
    description: str = ""
    tag: str = ""
    access: Access = "anyone"
    body: Any = None
    query: type[msgspec.Struct] | None = None
    params: dict[str, Any] = {}
    headers: dict[str, str] = {}
    answers: dict[int, Any] = {}
    problems: tuple[str, ...] = ()
    example: Any = None
    answer_examples: dict[int, Any] = {}
    examples: Mapping[type, Any] = MappingProxyType({})
    streams: bool = False
    as_text: bool = False
    limit: Limit | None = None
    refuses_cards: bool = False
    long_numbers: frozenset[str] = frozenset()


class Routes:
    """A set of lean routes. `limit`: the rate limit of those that name none; None: the front's default."""

    def __init__(
        self,
        tag: str = "",
        limit: Limit | None = None,
        refuses_cards: bool = False,
        examples: Mapping[type, Any] = MappingProxyType({}),
    ) -> None:
        self._examples = examples
        self.routes: list[Route] = []
        self._tag = tag
        self._limit = limit
        self._refuses_cards = refuses_cards

    def _declare(self, method: Method, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        declared.setdefault("tag", self._tag)
        declared.setdefault("limit", self._limit)
        declared.setdefault("examples", self._examples)
        declared.setdefault("refuses_cards", self._refuses_cards)

        def keep(handler: Handler) -> Handler:
            self.routes.append(Route(method, path, handler, Declared(**declared)))
            return handler

        return keep

    def get(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Keywords: the fields of Declared."""
        return self._declare("GET", path, **declared)

    def post(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        return self._declare("POST", path, **declared)

    def put(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        return self._declare("PUT", path, **declared)

    def patch(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        return self._declare("PATCH", path, **declared)

    def delete(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        return self._declare("DELETE", path, **declared)
