"""The front of every HTTP application: request ids, lean routes, and a FastAPI application for the rest."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from fastapi import FastAPI

from serve.gateway import clock, openapi, problems, request_ids, telemetry
from serve.gateway.answering import CHANGING, Answering
from serve.gateway.call import NO_STORE, USUAL, Bounds, Call, ClientGone, Receive, Scope, Send, stream
from serve.gateway.ended_sessions import NONE_ENDED, EndedSessions
from serve.gateway.lean import Request, Response, Route, Routes
from serve.gateway.limiting import ADMIN, Limiting
from serve.gateway.limiting import Limits as Limits
from serve.gateway.own_routes import Measured, Ready, always_ready, own_routes
from serve.gateway.own_routes import nothing_more as nothing_more
from serve.gateway.principals import ANONYMOUS, Authenticates, NoTokens, Principal
from serve.gateway.problems import Problem, lacking
from serve.gateway.rate_limits import Addresses, Limit
from serve.gateway.recording import StaffLog, recorded
from serve.gateway.routing import Found, Table

Elsewhere = Callable[[str], str | None]

_PROBLEM = (b"content-type", problems.MEDIA_TYPE.encode())
_IDENTITY = frozenset(
    b"remote-user x-remote-user x-user x-user-id x-user-email x-user-name x-user-roles x-roles x-principal "
    b"x-authenticated-user x-authenticated-userid x-authenticated-groups x-auth-request-user x-auth-request-email "
    b"x-auth-request-groups x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-preferred-username "
    b"x-consumer-id x-consumer-username x-consumer-custom-id x-credential-identifier x-anonymous-consumer".split()
)
"""What gateways tell services about a caller. A caller who sends it is lying, so it goes no further."""


class Front:
    """An ASGI application. Its cost to a lean request is a look-up, a decode and a handful of small objects."""

    def __init__(
        self,
        app: FastAPI,
        routes: Sequence[Routes] = (),
        *,
        tokens: Authenticates | None = None,
        limits: Limits | None = None,
        bounds: Bounds = USUAL,
        addresses: Addresses | None = None,
        ready: Ready = always_ready,
        metrics: bool = True,
        measured: Measured = nothing_more,
        title: str = "Troupe",
        behind_serve: bool = False,
        staff_log: StaffLog | None = None,
        elsewhere: Elsewhere = lambda _: None,
        ended: EndedSessions = NONE_ENDED,
    ) -> None:
        """`ready` looks at the ports of the shop.

        `measured` tells what other processes know, for `/metrics`; it must not take long, whatever became of them.
        `behind_serve`: Ray Serve gives every request an id and every answer its X-Request-Id; it needs no second one.
        `staff_log`: where each write of a staff route is recorded, before and after it is carried out.
        `elsewhere`: the part of the shop that a path belongs to, if that part does not run in this process.
        `ended`: the streams of these sessions end, too; what else they ask `tokens` refuses.
        """
        self._app = app
        self._answering = Answering(app)
        self._tokens: Authenticates = tokens or NoTokens()
        self._limiting = None if limits is None else Limiting(limits)
        self._bounds = bounds
        self._addresses = addresses or Addresses()
        self._title = title
        self._elsewhere = elsewhere
        self._ended = ended
        self._staff_log = staff_log
        self._tells_id = not behind_serve
        declared = [route for group in routes for route in group.routes]
        own = own_routes(self.openapi, ready, measured if metrics else None)
        self._routes = declared
        self._table = Table([*declared, *own.routes])
        self._own = frozenset(route.path for route in own.routes)
        self._document: dict[str, Any] | None = None
        problems.install(app)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of the lean routes and the FastAPI application together."""
        if self._document is None:
            self._document = openapi.merged(self._routes, self._app.openapi(), self._title)
        return self._document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = token = forwarded = origin = length = None
        lies = False
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = value
            elif name == b"authorization":
                token = value
            elif name == b"origin":
                origin = value
            elif name == b"content-length":
                length = value
            elif name == b"x-forwarded-for":
                # Each proxy may add a line of its own; together they are one list.
                forwarded = value if forwarded is None else forwarded + b", " + value
            elif name in _IDENTITY:
                lies = True
        if lies:
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] not in _IDENTITY]}
        known = request_ids.request_id(request_id)
        call = Call(
            scope, receive, send, known, token, forwarded, self._tells_id, self._bounds, origin=origin, length=length
        )
        marker = request_ids.current.set(call.request_id)
        try:
            await self._serve(call)
        except ClientGone:
            return
        finally:
            request_ids.current.reset(marker)

    async def _serve(self, call: Call) -> None:
        scope = call.scope
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and not path.startswith(root):
            path = root + path
        method: str = scope["method"]
        if method == "OPTIONS" and call.origin is not None and await self._preflight(call):
            return
        found = self._table.find(path)
        route = None
        if found is not None:
            route = found.methods.get(method) or (found.methods.get("GET") if method == "HEAD" else None)
        if route is None:
            await self._fall_through(call, method, path, found)
            return
        started = clock.monotonic()
        with telemetry.span(f"{method} {route.path}", request_id=call.request_id):
            try:
                response = await self._answer(call, route, path, cast(Found, found).values)
            except Exception as error:
                if isinstance(error, ClientGone):
                    raise
                response = _problem_response(problems.from_error(error), call.request_id)
            await self._send(call, response, body=method != "HEAD")
        streamed = response.stream is not None
        telemetry.observe(method, route.path, response.status, None if streamed else clock.monotonic() - started)

    async def _preflight(self, call: Call) -> bool:
        """Answers a browser that asks before it lets a page call; False if this is no such question."""
        if not any(name == b"access-control-request-method" for name, _ in call.scope["headers"]):
            return False
        allowed = self._bounds.browsers.preflight(call.origin)
        if allowed is None:
            problem = Problem("origin_refused", "Pages of this origin may not call; see TROUPE_CORS_ORIGINS.")
            response = _problem_response(problem, call.request_id)
        else:
            response = Response(204, b"", allowed)
        await self._send(call, response)
        telemetry.observe("OPTIONS", "preflight", response.status, None)
        return True

    async def _answer(self, call: Call, route: Route, path: str, values: list[str]) -> Response:
        request = Request(call.scope, route, path, {}, call.request_id)
        if path not in self._own:
            request.principal = await self._counted(call, route.method, route.path, route.limit)
            if route.access != "anyone" and not request.principal.may(route.access):
                raise _not_allowed(request.principal)
            call.session = request.principal.session
        call.check_length()
        if values:
            request.params = route.convert_params(values)
        if route.declared.query is not None:
            request.query = route.convert_query(call.scope["query_string"])
        if route.has_body:
            _check_media_type(request.header("content-type"), route.declared.as_text)
            request.raw_body = await call.body()
            if path not in self._own and request.principal is not ANONYMOUS:
                # A body may take long, and the session have ended meanwhile.
                request.principal = await self._principal(call)
            request.body = route.decode(request.raw_body)
        if route.method == "GET":
            async with asyncio.timeout(self._bounds.reading):
                return await route.handler(request)
        if route.access != "staff":
            return await route.handler(request)
        async with recorded(self._staff_log, request.principal, route.method, path, call.request_id) as outcome:
            response = await route.handler(request)
            outcome.status = response.status
            return response

    async def _principal(self, call: Call) -> Principal:
        if call.authorization is None:
            return ANONYMOUS
        scheme, _, token = call.authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem("invalid_token", "Authorization must be: Bearer, a space, and a token.")
        if (known := self._tokens.known(token)) is not None:
            return known
        async with asyncio.timeout(self._bounds.reading):  # the keys may have to be looked up
            return await self._tokens.verify(token)

    async def _counted(self, call: Call, method: str, path: str, own: Limit | None) -> Principal:
        """Who calls; each try counts, also one with a bad token. `own`: the limit of this route alone."""
        try:
            principal = await self._principal(call)
        except Problem:
            await self._take(call, ANONYMOUS, method, path, own)
            raise
        await self._take(call, principal, method, path, own)
        return principal

    async def _take(self, call: Call, principal: Principal, method: str, path: str, own: Limit | None) -> None:
        if self._limiting is None:
            return
        limit = own or self._limiting.by_class(method, path)
        verdict = await self._limiting.take(principal, self._address(call), limit, strict=own is not None)
        if verdict is None:
            return
        if not verdict.allowed:
            raise verdict.problem()
        call.extra = verdict.raw_headers

    def _address(self, call: Call) -> str | None:
        peer = (call.scope.get("client") or ("",))[0]
        return self._addresses.of(peer, call.forwarded.decode("latin-1") if call.forwarded else None)

    async def _fall_through(self, call: Call, method: str, path: str, found: Found | None) -> None:
        """The FastAPI application's turn. A bad token is its routes' business: logging in does not need a good one."""
        state: dict[str, Any] = call.scope.setdefault("state", {})
        state["request_id"] = call.request_id
        state["address"] = self._address(call)
        state["lean_methods"] = tuple(found.methods) if found is not None else ()
        started = clock.monotonic()
        try:
            try:
                state["principal"] = await self._principal(call)
            except Problem as problem:
                state["principal"] = problem
            if path.startswith("/api/"):
                principal = state["principal"] if isinstance(state["principal"], Principal) else ANONYMOUS
                strict = None if self._limiting is None else self._limiting.strict(method, path)
                await self._take(call, principal, method, path, strict)
            if found is None and (service := self._elsewhere(path)) is not None:
                raise lacking(service)
            call.check_length()
            who = state["principal"]
            if method in CHANGING and path.startswith(ADMIN) and isinstance(who, Principal) and who.is_staff:
                async with recorded(self._staff_log, who, method, path, call.request_id) as outcome:
                    await self._answering.answer(call, method)
                    outcome.status = call.status
            else:
                await self._answering.answer(call, method)
        except Exception as error:
            if isinstance(error, ClientGone) or (call.status and not call.complete):
                raise
            if not call.complete:  # else its own error handler has answered, and raised it again
                await self._send(call, _problem_response(problems.from_error(error), call.request_id))
        telemetry.observe(method, _template(call.scope), call.status, clock.monotonic() - started)

    async def _send(self, call: Call, response: Response, body: bool = True) -> None:
        headers = call.headers(response.headers)
        call.status = response.status
        if response.stream is None:
            if response.status != 204:
                headers.append((b"content-length", b"%d" % len(response.body)))
            await call.send({"type": "http.response.start", "status": response.status, "headers": headers})
            await call.send({"type": "http.response.body", "body": response.body if body else b""})
            return
        await call.send({"type": "http.response.start", "status": response.status, "headers": headers})
        await stream(call, response.stream, self._ended)


def _problem_response(problem: Problem, request_id: str) -> Response:
    headers = [(k.lower().encode(), v.encode()) for k, v in problem.headers.items()]
    return Response(problem.status, problem.body(request_id), [_PROBLEM, NO_STORE, *headers])


def _not_allowed(principal: Principal) -> Problem:
    if principal.kind == "anonymous":
        return Problem("not_authenticated", "Send a token: Authorization: Bearer ...")
    return Problem("forbidden", "This is not open to you.")


def _check_media_type(sent: str | None, as_text: bool) -> None:
    taken = ("application/json", "text/plain") if as_text else ("application/json",)
    if sent is not None and sent.partition(";")[0].strip().lower() not in taken:
        raise Problem("unsupported_media_type", f"The body must be application/json, not {sent}.")


def _template(scope: Scope) -> str:
    context = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(context, "path", None) or getattr(scope.get("route"), "path", None) or "unmatched")
