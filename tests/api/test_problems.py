"""Whatever is wrong with a request, the answer is problem+json with a stable code."""

import httpx
import pytest

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, bearer, body, order_form, problem

JSON = {"Content-Type": "application/json"}
TOO_LARGE = b'{"sku": "' + b"x" * 1_000_001 + b'"}'


@pytest.mark.parametrize("path", ["/api/cart/items", "/api/users", "/api/users/sessions"])
@pytest.mark.parametrize("sent", [b"{", b"", b'{"sku": ', b"\xff\xfe", b"{'sku': 'x'}"])
def test_what_is_not_json_is_refused(web: httpx.Client, path: str, sent: bytes) -> None:
    answer = web.post(path, content=sent, headers=JSON)
    if path.startswith("/api/users") and not sent:
        problem(answer, 422, "invalid_request")
    else:
        problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("path", ["/api/cart/items", "/api/users"])
def test_a_body_that_is_too_large_is_refused(web: httpx.Client, path: str) -> None:
    problem(web.post(path, content=TOO_LARGE, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize("path", ["/api/cart/items", "/api/users"])
def test_a_body_that_does_not_say_how_large_it_is_is_refused_as_well(web: httpx.Client, path: str) -> None:
    pieces = (TOO_LARGE[at : at + 50_000] for at in range(0, len(TOO_LARGE), 50_000))
    problem(web.post(path, content=pieces, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "sent", "where"),
    [
        ("/api/cart/items", {"quantity": 1}, "/body"),
        ("/api/cart/items", {"sku": 7}, "/body/sku"),
        ("/api/cart/items", {"sku": ""}, "/body/sku"),
        ("/api/cart/items", {"sku": "A", "quantity": "1"}, "/body/quantity"),
        ("/api/cart/items", [], "/body"),
        ("/api/users", {"email": "no address", "password": "three wet umbrellas", "name": "A"}, "/body/email"),
        ("/api/users", {"email": "a@example.com", "password": 7, "name": "A"}, "/body/password"),
        ("/api/users", {"email": "a@example.com", "password": "three wet umbrellas"}, "/body/name"),
        ("/api/users/sessions/refresh", {}, "/body/refresh_token"),
    ],
)
def test_wrong_types_are_told_where(web: httpx.Client, path: str, sent: object, where: str) -> None:
    assert problem(web.post(path, json=sent), 422, "invalid_request")["errors"][0]["where"] == where


def test_a_password_that_was_sent_is_not_repeated(web: httpx.Client) -> None:
    answer = web.post("/api/users", json={"email": "nobody", "password": "three wet umbrellas", "name": "A"})
    problem(answer, 422, "invalid_request")
    assert "umbrellas" not in answer.text


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "many"}, {"sort": "colour"}])
def test_a_query_that_does_not_fit_is_refused(web: httpx.Client, query: dict[str, str]) -> None:
    (name,) = query
    found = problem(web.get("/api/catalog/products", params=query), 422, "invalid_request")
    assert found["errors"][0]["where"] == f"/query/{name}"


def test_another_media_type_is_refused(web: httpx.Client) -> None:
    answer = web.post(
        "/api/cart/items", content=b"sku=A", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/api/cart/items/a/b", "/api/orders/a/b/c"])
def test_what_is_not_there_is_not_found(web: httpx.Client, path: str) -> None:
    problem(web.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/cart/items", "DELETE, POST"),
        ("GET", "/api/cart/items/abc", "DELETE, PATCH"),
        ("DELETE", "/api/cart", "GET"),
        ("DELETE", "/api/users", "POST"),
        ("POST", "/openapi.json", "GET"),
    ],
)
def test_another_method_is_told_which_there_are(web: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = web.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("token", ["Bearer nonsense", "Bearer a.b.c", "Bearer", "Basic YTpi", "Bearer " + "x" * 5_000])
@pytest.mark.parametrize("path", ["/api/cart", "/api/orders", "/api/users/me"])
def test_a_bad_token_is_refused_even_where_none_is_needed(web: httpx.Client, path: str, token: str) -> None:
    answer = web.get(path, headers={"Authorization": token})
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_that_was_changed_is_refused(web: httpx.Client, guest: Buyer, product: MakeProduct) -> None:
    guest.add(product())
    head, claims, signature = guest.token.split(".")
    forged = f"{head}.{claims}.{signature[:-6]}AAAAAA"
    problem(web.get("/api/cart", headers=bearer(forged)), 401, "invalid_token")


def test_without_a_token_nothing_is_bought(web: httpx.Client) -> None:
    problem(web.post("/api/orders", json=order_form()), 401, "not_authenticated")
    problem(web.get("/api/orders"), 401, "not_authenticated")
    problem(web.get("/api/admin/orders"), 401, "not_authenticated")


def test_a_webhook_that_the_gateway_did_not_sign_is_refused(web: httpx.Client) -> None:
    event = {
        "id": "evt_0",
        "type": "payment_intent.succeeded",
        "created": 1,
        "session": "s",
        "intent": "pi_0",
        "status": "succeeded",
    }
    problem(web.post("/api/payments/webhooks/test", json=event), 400, "bad_signature")
    signed = {"X-Gateway-Signature": "t=1,v1=00"}
    problem(web.post("/api/payments/webhooks/test", json=event, headers=signed), 400, "bad_signature")


def test_a_payment_that_never_was_does_not_come_back(web: httpx.Client) -> None:
    problem(web.get("/api/payments/no-such/return"), 404, "not_found")


def test_a_request_keeps_the_id_that_it_came_with(web: httpx.Client) -> None:
    answer = web.get("/api/cart", headers={"X-Request-Id": "a-good-request-id"})
    assert answer.headers["x-request-id"] == "a-good-request-id"
    refused = web.get("/api/nothing", headers={"X-Request-Id": "another-request-id"})
    assert problem(refused, 404, "not_found")["request_id"] == "another-request-id"


def test_unknown_products_are_unknown_everywhere(web: httpx.Client) -> None:
    problem(web.post("/api/cart/items", json={"sku": "NO-SUCH", "quantity": 1}), 404, "unknown_sku")
    assert body(web.get("/api/cart"))["lines"] == []
