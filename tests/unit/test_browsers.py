"""What browsers are told: policies with every answer, and whose pages may call."""

import httpx
import pytest
from fastapi import FastAPI

from serve.gateway.browsers import Browsers
from serve.gateway.call import Bounds
from serve.gateway.front import Front
from serve.gateway.lean import Request, Response, Routes, json

SHOP = "https://shop.example.com"
OTHER = "https://evil.example.com"


def _client(*origins: str, only_tls: bool = False) -> httpx.AsyncClient:
    routes = Routes()

    @routes.post("/api/lean", body=dict[str, int], answers={200: dict[str, int]}, summary="Lean")
    async def lean(request: Request) -> Response:
        return json(request.body, headers={"Location": "/there"})

    @routes.get("/page", answers={200: None}, summary="A page")
    async def page(_: Request) -> Response:
        return Response(200, b"<p>", [(b"content-type", b"text/html; charset=utf-8")])

    @routes.get("/own", answers={200: None}, summary="A page with a policy of its own")
    async def own(_: Request) -> Response:
        headers = [(b"content-type", b"text/html"), (b"content-security-policy", b"default-src 'none'")]
        return Response(200, b"<p>", [*headers, (b"referrer-policy", b"same-origin")])

    app = FastAPI()

    @app.get("/api/slow")
    async def slow() -> dict[str, int]:
        return {"a": 1}

    front = Front(app, [routes], bounds=Bounds(1_000_000, Browsers(origins, only_tls=only_tls)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop")


async def _preflight(http: httpx.AsyncClient, path: str, origin: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return await http.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/api/lean", "/api/slow"])
async def test_a_page_of_a_named_origin_may_call(path: str) -> None:
    async with _client(SHOP, "http://127.0.0.1:3000") as http:
        asked = await _preflight(http, path, SHOP)
        method = "POST" if path == "/api/lean" else "GET"
        called = await http.request(method, path, json={"a": 1}, headers={"Origin": SHOP})
        missing = await http.get("/api/nothing", headers={"Origin": SHOP})
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    assert called.headers["access-control-allow-origin"] == SHOP
    assert "X-Guest-Token" in called.headers["access-control-expose-headers"]
    assert "RateLimit-Remaining" in called.headers["access-control-expose-headers"]
    # Errors have to be readable too.
    assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, SHOP)
    assert {answer.headers["vary"] for answer in (asked, called, missing)} == {"Origin"}
    assert "access-control-allow-credentials" not in called.headers


@pytest.mark.parametrize("origins", [(), (SHOP,)])
async def test_no_other_page_may(origins: tuple[str, ...]) -> None:
    async with _client(*origins) as http:
        asked = await _preflight(http, "/api/lean", OTHER)
        called = await http.post("/api/lean", json={"a": 1}, headers={"Origin": OTHER})
    assert (asked.status_code, asked.json()["code"]) == (400, "origin_refused")
    assert called.status_code == 200  # the browser keeps it from the page
    for answer in (asked, called):
        assert [name for name in answer.headers if name.startswith("access-control-")] == []


async def test_caches_are_told_that_answers_differ_by_origin() -> None:
    async with _client(SHOP) as http:
        assert (await http.get("/page")).headers["vary"] == "Origin"
    async with _client() as http:
        assert "vary" not in (await http.get("/page")).headers
        assert (await http.options("/api/lean")).status_code == 405


async def test_every_answer_has_its_policies() -> None:
    async with _client(only_tls=True) as http:
        data, page, own = await http.get("/api/slow"), await http.get("/page"), await http.get("/own")
        missing = await http.get("/api/nothing")
    for answer in (data, page, own, missing):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers.get_list("content-security-policy")[0].endswith("frame-ancestors 'none'")
        assert len(answer.headers.get_list("content-security-policy")) == 1
    assert data.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert page.headers["content-security-policy"].startswith("default-src 'self'; object-src 'none'")
    assert own.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert [answer.headers["referrer-policy"] for answer in (data, own)] == ["no-referrer", "same-origin"]
    async with _client() as http:
        assert "strict-transport-security" not in (await http.get("/page")).headers
