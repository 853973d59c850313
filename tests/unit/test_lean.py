"""Lean routes: what a declaration brings with it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from actors.runtime.ports import KeyReused, Overloaded
from serve.gateway import own_routes as own_module
from serve.gateway.call import MAX_BODY, Bounds
from serve.gateway.front import Front, Limits
from serve.gateway.health import Health
from serve.gateway.lean import Event, Request, Response, Routes, empty, events, json
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.gateway.rate_limits import InProcessLimits, Limit


class AddItem(msgspec.Struct):
    sku: Annotated[str, msgspec.Meta(min_length=1, description="which product")]
    quantity: Annotated[int, msgspec.Meta(ge=1)] = 1


class Line(msgspec.Struct):
    id: str
    sku: str
    quantity: int


class Search(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="how many")] = 20
    tag: list[str] = []


class FakeTokens:
    """Tokens that say who they are for."""

    def known(self, token: str) -> Principal | None:
        return Principal("user", "ada") if token == "known" else None

    async def verify(self, token: str) -> Principal:
        if token == "staff":
            return Principal("user", "sam", frozenset({"staff"}))
        if token == "guest":
            return Principal("guest", "g1")
        raise Problem("invalid_token", "no")


def make_routes(closed: asyncio.Event | None = None) -> Routes:
    routes = Routes("carts")

    @routes.post(
        "/api/cart/items",
        body=AddItem,
        answers={200: Line},
        problems=("unknown_sku",),
        headers={"Idempotency-Key": "makes a repetition harmless"},
        example=AddItem("MUG", 2),
        summary="Add",
    )
    async def add(request: Request) -> Response:
        item: AddItem = request.body
        return json(Line(request.command_id() or "none", item.sku, item.quantity), headers={"X-Guest-Token": "t"})

    @routes.delete("/api/cart/items/{id}", answers={204: None}, summary="Remove")
    async def remove(request: Request) -> Response:
        return empty() if request.params["id"] == "l1" else json(request.params)

    @routes.get("/api/cart/items/newest", answers={200: dict[str, str]}, summary="Newest")
    async def newest(_: Request) -> Response:
        return json({"which": "newest"})

    @routes.get(
        "/api/pages/{page}/{part}",
        params={"page": Annotated[int, msgspec.Meta(ge=1)]},
        query=Search,
        answers={200: dict[str, int]},
        summary="A page",
    )
    async def page(request: Request) -> Response:
        query: Search = request.query
        return json({"page": request.params["page"], "part": request.params["part"], "q": [query.limit, query.tag]})

    @routes.get("/api/me", access="user", answers={200: dict[str, str]}, summary="Me")
    async def me(request: Request) -> Response:
        return json({"key": request.principal.key})

    @routes.get("/api/admin", access="staff", answers={204: None}, summary="Staff")
    async def admin(_: Request) -> Response:
        return empty()

    @routes.get("/api/fails/{how}", answers={204: None}, summary="Fails")
    async def fails(request: Request) -> Response:
        errors = {"busy": Overloaded(2.4), "reused": KeyReused(), "late": TimeoutError(), "bug": ZeroDivisionError()}
        raise errors[request.params["how"]]

    @routes.get("/api/live", streams=True, answers={200: dict[str, int]}, summary="Live")
    async def live(_: Request) -> Response:
        async def source() -> AsyncIterator[Event | None]:
            yield Event("order", {"version": 1}, "1")
            yield None

        return events(source())

    @routes.get("/api/endless", streams=True, answers={200: dict[str, int]}, summary="Endless")
    async def endless(_: Request) -> Response:
        async def source() -> AsyncIterator[Event | None]:
            try:
                yield Event("order", 1)
                await asyncio.Event().wait()
            finally:
                if closed is not None:
                    closed.set()

        return events(source())

    @routes.get("/api/hangs", answers={204: None}, summary="Hangs")
    async def hangs(_: Request) -> Response:
        await asyncio.Event().wait()
        return empty()

    @routes.post("/api/ponders", answers={204: None}, summary="Ponders")
    async def ponders(_: Request) -> Response:
        await asyncio.sleep(0.05)
        return empty()

    return routes


def make_front(**options: Any) -> Front:
    app = FastAPI()

    @app.get("/api/slow/{number}")
    async def slow(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/api/slow-bug")
    async def bug() -> None:
        raise ZeroDivisionError

    @app.put("/api/me")
    async def change() -> dict[str, bool]:
        return {"changed": True}

    return Front(app, [make_routes()], tokens=FakeTokens(), **options)


def client(front: Front | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(front or make_front()), base_url="http://shop")


async def test_a_body_is_decoded_and_the_answer_encoded() -> None:
    async with client() as http:
        answer = await http.post("/api/cart/items", json={"sku": "MUG", "quantity": 3})
    assert answer.json() == {"id": "none", "sku": "MUG", "quantity": 3}
    assert (answer.status_code, answer.headers["x-guest-token"]) == (200, "t")
    assert len(answer.headers["x-request-id"]) == 24


@pytest.mark.parametrize(
    ("content", "status", "code", "where"),
    [
        (b'{"sku": "MUG", "quantity": "3"}', 422, "invalid_request", "/body/quantity"),
        (b'{"sku": ""}', 422, "invalid_request", "/body/sku"),
        (b'{"quantity": 1}', 422, "invalid_request", "/body"),
        (b"{", 400, "malformed_json", None),
        (b"", 400, "malformed_json", None),
        (b"\xff", 400, "malformed_json", None),
    ],
)
async def test_a_bad_body_is_told_what_is_wrong_and_where(
    content: bytes, status: int, code: str, where: str | None
) -> None:
    async with client() as http:
        answer = await http.post("/api/cart/items", content=content)
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status)
    assert [e["where"] for e in body.get("errors", [])] == ([where] if where is not None else [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == answer.headers["x-request-id"]


class EndingTokens(FakeTokens):
    """Of a session that ends while its body is on its way."""

    ended = False

    def known(self, token: str) -> Principal | None:
        if self.ended:
            raise Problem("invalid_token", "The session has ended.")
        return super().known(token)


async def test_a_session_that_ends_before_the_body_is_there_changes_nothing_any_more() -> None:
    tokens = EndingTokens()

    async def late() -> AsyncIterator[bytes]:
        tokens.ended = True
        yield b'{"sku": "MUG"}'

    front = Front(FastAPI(), [make_routes()], tokens=tokens)
    headers = {"Authorization": "Bearer known", "Content-Type": "application/json"}
    async with client(front) as http:
        assert (await http.post("/api/cart/items", content=b'{"sku": "MUG"}', headers=headers)).status_code == 200
        refused = await http.post("/api/cart/items", content=late(), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")


async def test_a_body_above_the_bound_is_refused_announced_or_not() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * (MAX_BODY // 10)

    async with client() as http:
        announced = await http.post("/api/cart/items", content=b" " * (MAX_BODY + 1))
        streamed = await http.post("/api/cart/items", content=pieces())
        elsewhere = await http.put("/api/me", content=b" " * (MAX_BODY + 1))
    assert [a.status_code for a in (announced, streamed, elsewhere)] == [413, 413, 413]
    assert {a.json()["code"] for a in (announced, streamed, elsewhere)} == {"body_too_large"}


async def test_the_bound_is_a_setting_and_holds_for_every_route() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1000

    async with client(make_front(bounds=Bounds(max_body=10_000))) as http:
        announced = await http.post("/api/cart/items", content=b" " * 10_001)
        without = await http.request("DELETE", "/api/cart/items/l1", content=b" " * 10_001)
        endless = {"Content-Length": "9" * 5000}
        huge = await http.request("DELETE", "/api/cart/items/l1", content=b"", headers=endless)
        streamed = await http.post("/api/cart/items", content=pieces())
        taken = await http.post("/api/cart/items", content=b'{"sku": "MUG"}' + b" " * 9_000)
    assert [a.status_code for a in (announced, without, huge, streamed, taken)] == [413, 413, 413, 413, 200]
    assert announced.json()["detail"] == "At most 10000 bytes."


async def test_only_json_is_taken() -> None:
    async with client() as http:
        answer = await http.post("/api/cart/items", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_paths_with_parameters_and_a_query() -> None:
    async with client() as http:
        good = await http.get("/api/pages/7/top?limit=5&tag=a&tag=b&unknown=1")
        plain = await http.get("/api/pages/7/top")
        bad_page = await http.get("/api/pages/0/top")
        bad_limit = await http.get("/api/pages/1/top?limit=101")
    assert good.json() == {"page": 7, "part": "top", "q": [5, ["a", "b"]]}
    assert plain.json()["q"] == [20, []]
    assert (bad_page.status_code, bad_page.json()["errors"][0]["where"]) == (422, "/path/page")
    assert (bad_limit.status_code, bad_limit.json()["errors"][0]["where"]) == (422, "/query/limit")


async def test_names_go_before_parameters_and_other_methods_are_found() -> None:
    async with client() as http:
        named = await http.get("/api/cart/items/newest")
        removed = await http.delete("/api/cart/items/l1")
        wrong = await http.post("/api/cart/items/l1", json={})
        nothing = await http.get("/api/nothing")
        empty_segment = await http.delete("/api/cart/items/")
        shared = await http.put("/api/me")
    assert named.json() == {"which": "newest"}
    assert (removed.status_code, removed.content) == (204, b"")
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["code"]) == (405, "DELETE", "method_not_allowed")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
    assert empty_segment.status_code in (307, 404)
    assert shared.json() == {"changed": True}


async def test_head_is_get_without_a_body() -> None:
    async with client() as http:
        answer = await http.head("/api/cart/items/newest")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "18")


async def test_who_may_pass() -> None:
    async with client() as http:

        async def ask(path: str, token: str | None) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await http.get(path, headers=headers)
            return answer.status_code, answer.json()["code"] if answer.status_code >= 400 else ""

        assert await ask("/api/me", None) == (401, "not_authenticated")
        assert await ask("/api/me", "forged") == (401, "invalid_token")
        assert await ask("/api/cart/items/newest", "forged") == (401, "invalid_token")
        assert await ask("/api/me", "guest") == (403, "forbidden")
        assert await ask("/api/me", "known") == (200, "")
        assert await ask("/api/admin", "known") == (403, "forbidden")
        assert await ask("/api/admin", "staff") == (204, "")
        basic = await http.get("/api/me", headers={"Authorization": "Basic YTpi"})
        assert (basic.status_code, basic.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("how", "status", "code", "retry_after"),
    [
        ("busy", 503, "overloaded", "2"),
        ("reused", 422, "idempotency_key_reused", None),
        ("late", 503, "unavailable", "1"),
        ("bug", 500, "internal", None),
    ],
)
async def test_errors_of_the_runtime(how: str, status: int, code: str, retry_after: str | None) -> None:
    async with client() as http:
        answer = await http.get(f"/api/fails/{how}")
    assert (answer.status_code, answer.json()["code"], answer.headers.get("retry-after")) == (status, code, retry_after)


async def test_looking_has_a_deadline_and_changing_its_own() -> None:
    async with client(make_front(bounds=Bounds(reading=0.01))) as http:
        looked = await http.get("/api/hangs")
        changed = await http.post("/api/ponders")
    assert (looked.status_code, looked.json()["code"], looked.headers["retry-after"]) == (503, "unavailable", "1")
    assert changed.status_code == 204


async def test_the_fastapi_application_behind_it_speaks_the_same_errors() -> None:
    async with client() as http:
        good = await http.get("/api/slow/1", headers={"X-Request-Id": "from-the-caller"})
        bad = await http.get("/api/slow/x")
        bug = await http.get("/api/slow-bug")
    assert (good.json(), good.headers["x-request-id"]) == ({"number": 1}, "from-the-caller")
    assert (bad.status_code, bad.json()["errors"][0]["where"]) == (422, "/path/number")
    assert (bug.status_code, bug.json()["code"]) == (500, "internal")


async def test_command_ids_differ_by_key_and_caller() -> None:
    async with client() as http:

        async def ask(key: str, token: str) -> Any:
            headers = {"Idempotency-Key": key, "Authorization": f"Bearer {token}"}
            return (await http.post("/api/cart/items", json={"sku": "A"}, headers=headers)).json()

        first = await ask("k1", "known")
        assert (await ask("k1", "known"))["id"] == first["id"]
        assert len({first["id"], (await ask("k2", "known"))["id"], (await ask("k1", "guest"))["id"]}) == 3
        assert (await ask("k" * 256, "known"))["code"] == "bad_idempotency_key"


async def test_server_sent_events() -> None:
    async with client() as http:
        answer = await http.get("/api/live")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == 'id: 1\nevent: order\ndata: {"version":1}\n\n: still here\n\n'


async def test_a_stream_ends_when_its_reader_goes_away() -> None:
    closed, started = asyncio.Event(), asyncio.Event()
    front = Front(FastAPI(), [make_routes(closed)])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await started.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            started.set()

    scope = {"type": "http", "method": "GET", "path": "/api/endless", "query_string": b"", "headers": []}
    async with asyncio.timeout(5):
        await front(scope, receive, send)
    assert closed.is_set()
    assert [m.get("body") for m in sent[1:]] == [b"event: order\ndata: 1\n\n"]


class WithSessions(FakeTokens):
    """Each token is of a session of its own name."""

    def known(self, token: str) -> Principal | None:
        return Principal("user", "ada", session=token)


async def test_a_stream_ends_soon_after_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.gateway.call.LOOK_EVERY", 0.01)
    ended: set[str] = set()
    front = Front(FastAPI(), [make_routes()], tokens=WithSessions(), ended=ended)

    async def follow(token: str, sent: list[Any], begun: asyncio.Event) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body"):
                begun.set()

        headers = [(b"authorization", b"Bearer " + token.encode())]
        scope = {"type": "http", "method": "GET", "path": "/api/endless", "query_string": b"", "headers": headers}
        await front(scope, receive, send)

    messages: dict[str, list[Any]] = {"phone": [], "laptop": []}
    begun = {token: asyncio.Event() for token in messages}
    async with asyncio.timeout(5):
        tasks = {t: asyncio.create_task(follow(t, sent, begun[t])) for t, sent in messages.items()}
        for one in begun.values():
            await one.wait()
        ended.add("phone")
        await tasks["phone"]
        assert messages["phone"][-1] == {"type": "http.response.body", "body": b""}
        assert (tasks["laptop"].done(), len(messages["laptop"])) == (False, 2)
        ended.add("laptop")
        await tasks["laptop"]


async def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.gateway.call.BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/cart/items", "query_string": b"", "headers": []}
    async with asyncio.timeout(5):
        await make_front()(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_limited_callers_are_told_when_to_come_again() -> None:
    limits = Limits(InProcessLimits(now=lambda: 0.0), default=Limit("default", per_minute=60, burst=2))
    async with client(make_front(limits=limits)) as http:
        headers = {"Authorization": "Bearer known"}
        answers = [await http.get("/api/me", headers=headers) for _ in range(3)]
        other = await http.get("/api/slow/1", headers={"Authorization": "Bearer staff"})
    addressed = httpx.ASGITransport(make_front(limits=limits), client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=addressed, base_url="http://shop") as http:
        anonymous = [(await http.get("/api/cart/items/newest")).status_code for _ in range(3)]
    assert anonymous == [200, 200, 429]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-remaining"] == "1"
    assert answers[0].headers["cache-control"] == "no-store"
    assert answers[2].json()["code"] == "rate_limited"
    assert answers[2].headers["retry-after"] == "1"
    assert (other.status_code, other.headers["ratelimit-limit"]) == (200, "2")


async def test_the_document_describes_both_kinds_of_routes() -> None:
    async with client() as http:
        document = (await http.get("/openapi.json")).json()
        page = await http.get("/docs")
    add = document["paths"]["/api/cart/items"]["post"]
    assert add["requestBody"]["content"]["application/json"] == {
        "schema": {"$ref": "#/components/schemas/AddItem"},
        "example": {"sku": "MUG", "quantity": 2},
    }
    assert sorted(add["responses"]) == ["200", "400", "401", "404", "408", "413", "415", "422", "429", "500", "503"]
    assert add["parameters"][0]["name"] == "Idempotency-Key"
    assert document["paths"]["/api/admin"]["get"]["security"] == [{"bearer": []}]
    parameters = document["paths"]["/api/pages/{page}/{part}"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in parameters] == [
        ("page", "path", True),
        ("part", "path", True),
        ("limit", "query", False),
        ("tag", "query", False),
    ]
    assert sorted(document["paths"]["/api/me"]) == ["get", "put"]
    assert "number" in document["paths"]["/api/slow/{number}"]["get"]["parameters"][0]["name"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    references = {
        ref.split('"')[0] for ref in msgspec.json.encode(document).decode().split("#/components/schemas/")[1:]
    }
    assert references <= set(document["components"]["schemas"])
    assert page.status_code == 200
    assert "/api/cart/items" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text.replace("http://shop", "")


def test_two_declarations_of_one_operation_are_refused() -> None:
    with pytest.raises(ValueError, match="POST /api/cart/items is declared twice"):
        Front(FastAPI(), [make_routes(), make_routes()])


async def test_made_up_methods_make_no_series() -> None:
    async with client() as http:
        assert (await http.request("FROBNICATE", "/api/nothing")).status_code == 404
        metrics = (await http.get("/metrics")).text
    assert "FROBNICATE" not in metrics
    assert 'troupe_http_requests_total{method="other",route="unmatched",status="404"}' in metrics


async def test_a_path_below_a_prefix_is_found_whole_or_cut() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/api/cart/items/newest", "/items/newest"):
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": path,
            "root_path": "/api/cart",
            "query_string": b"",
            "headers": [],
        }
        await make_front()(scope, receive, send)
    assert [m["body"] for m in sent if m["type"] == "http.response.body"] == [b'{"which":"newest"}'] * 2


async def test_readiness_and_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"journal": "ok"}

    async def ready() -> Health:
        if parts["journal"] == "hangs":
            await asyncio.Event().wait()
        return Health(parts["journal"] == "ok", dict(parts))

    async with client(make_front(ready=ready)) as http:
        good = await http.get("/api/health/ready")
        parts["journal"] = "no answer"
        bad = await http.get("/api/health/ready")
        parts["journal"] = "hangs"
        monkeypatch.setattr(own_module, "READY_SECONDS", 0.01)
        hanging = await http.get("/api/health/ready")
        metrics = await http.get("/metrics")
    assert (good.status_code, good.json()) == (200, {"ready": True, "parts": {"journal": "ok"}})
    assert (bad.status_code, bad.json()) == (503, {"ready": False, "parts": {"journal": "no answer"}})
    assert hanging.status_code == 503
    assert 'troupe_http_requests_total{method="GET",route="/api/health/ready",status="503"}' in metrics.text
    async with client(make_front(metrics=False)) as http:
        assert (await http.get("/metrics")).status_code == 404
