"""Each service served alone: it answers its own routes, and says which part is lacking for the rest."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve import settings as settings_module
from serve.composing import NOT_HERE, Shop, front_of
from serve.gateway.health import Health, Port, health_of
from serve.paths import PATHS, service_of
from serve.payments.gateway.calls import Call, Reply
from serve.payments.gateway.client import GatewayClient
from serve.processes import note_closing
from serve.services import BUILDERS
from serve.settings import SERVICES

ADDRESS = {"name": "Ada", "line1": "1 High Street", "city": "London", "postal_code": "N1 9GU", "country": "GB"}
ORDER = {
    "email": "ada@example.com",
    "address": ADDRESS,
    "shipping_method": "standard",
    "payment": {"method": "card", "reference": "pm_card_visa"},
}
# Of every service calls that it answers by itself: method, path, body, whether as a guest, status.
ALONE: dict[str, tuple[tuple[str, str, Any, bool, int], ...]] = {
    "users": (("GET", "/.well-known/jwks.json", None, False, 200), ("GET", "/api/users/me", None, False, 401)),
    "catalog": (
        ("GET", "/api/catalog/products", None, False, 200),
        ("GET", "/api/catalog/products/none", None, False, 404),
    ),
    "carts": (("POST", "/api/cart/items", {"sku": "NONE", "quantity": 1}, False, 404),),
    "orders": (("GET", "/api/orders", None, True, 200),),
    "payments": (("POST", "/api/payments/webhooks/test", {"id": "e"}, False, 422),),
    "notifications": (("GET", "/api/notifications", None, True, 200),),
}
LACKING: dict[str, tuple[str, str, Any]] = {
    "carts": ("GET", "/api/cart", None),
    "orders": ("POST", "/api/orders", ORDER),
    "payments": ("GET", "/api/payments/0199f0c2", None),
}


@asynccontextmanager
async def alone(folder: Path, *services: str) -> AsyncIterator[tuple[httpx.AsyncClient, Shop]]:
    settings = settings_module.load(data_dir=folder, services=services, webhook_secret="hush")

    async def nothing() -> None:
        pass

    async def carry_out(calls: Sequence[Call]) -> Sequence[Reply]:
        return [Reply(None) for _ in calls]

    shop = Shop(settings, None, GatewayClient(carry_out) if "payments" in services else None)
    transport = httpx.ASGITransport(front_of(shop, nothing, nothing))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            yield http, shop
    finally:
        await shop.close()


def made(folder: Path) -> list[Path]:
    return list(folder.glob("*.db"))


@pytest.mark.parametrize("service", ALONE)
async def test_a_service_alone_answers_its_own_routes(service: str, tmp_path: Path) -> None:
    async with alone(tmp_path, service) as (http, shop):
        for method, path, body, as_guest, status in ALONE[service]:
            token = await shop.tokens.guest("g-1")
            headers = {"Authorization": f"Bearer {token}"} if as_guest else {}
            answer = await http.request(method, path, json=body, headers=headers)
            assert (path, answer.status_code) == (path, status)
        document = (await http.get("/openapi.json")).json()
        ready = await http.get("/api/health/ready")
    assert {service_of(path) for path in document["paths"]} - {None} == {service}
    assert [path for path in document["paths"] if service_of(path) is None] == ["/api/admin/changes"]
    assert ready.status_code == 200
    parts = ready.json()["parts"]
    assert {name for name, state in parts.items() if state == NOT_HERE} == set(shop.ports()) - {service}


@pytest.mark.parametrize("service", LACKING)
async def test_what_needs_entities_says_so(service: str, tmp_path: Path) -> None:
    method, path, body = LACKING[service]
    async with alone(tmp_path, service) as (http, shop):
        headers = {"Authorization": f"Bearer {await shop.tokens.guest('g-1')}"}
        answer = await http.request(method, path, json=body, headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["part"]) == (503, "service_unavailable", "entities")
    assert answer.headers["retry-after"] == "30"


async def test_another_services_routes_are_known_and_not_here(tmp_path: Path) -> None:
    async with alone(tmp_path, "users") as (http, _):
        for path, part in (("/api/cart", "carts"), ("/api/orders/1", "orders"), ("/api/admin/stock/A", "orders")):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["part"]) == (503, part)
        assert (await http.get("/api/nothing")).status_code == 404
        assert (await http.get("/api/carton")).status_code == 404
        assert (await http.get("/api/users/nothing/here")).status_code == 404


async def test_a_service_alone_makes_its_own_databases_only(tmp_path: Path) -> None:
    async with alone(tmp_path, "catalog") as (http, _):
        assert (await http.get("/api/catalog/products")).status_code == 200
    # The keys that tokens are verified with are in users.db; every process records what staff change.
    assert sorted(path.name for path in made(tmp_path)) == ["audit.db", "catalog.db", "users.db"]


async def test_the_whole_has_every_route_and_each_belongs_to_one_service(tmp_path: Path) -> None:
    async with alone(tmp_path, *SERVICES) as (http, _):
        document = (await http.get("/openapi.json")).json()
    assert {service_of(path) for path in document["paths"]} - {None} == set(BUILDERS)
    assert [path for path in document["paths"] if service_of(path) is None] == ["/api/admin/changes"]
    starts = [start for found in PATHS.values() for start in found]
    assert len(starts) == len(set(starts))


async def test_what_staff_change_in_the_catalogue_is_recorded(tmp_path: Path) -> None:
    async with alone(tmp_path, "catalog") as (http, shop):
        headers = {"Authorization": f"Bearer {await shop.tokens.access('sam', ('staff',), 's-1')}"}
        draft = {"name": "Mug", "category": "Kitchen", "price": 1450}
        created = await http.put("/api/admin/products/MUG", json=draft, headers=headers)
        changed = await http.patch("/api/admin/products/MUG", json={"price": 1250}, headers=headers)
        assert (created.status_code, changed.status_code) == (201, 200)
        patch, put = (await http.get("/api/admin/changes", headers=headers)).json()["items"]
    assert (put["who"], put["method"], put["status"], put["before"]) == ("sam", "PUT", 201, None)
    assert (put["after"]["price"], patch["before"]["price"], patch["after"]["price"]) == (1450, 1450, 1250)


async def test_a_shop_that_is_about_to_close_is_not_ready(tmp_path: Path) -> None:
    async with alone(tmp_path, "catalog") as (http, _):
        note_closing(tmp_path, True)
        closing = await http.get("/api/health/ready")
        served = await http.get("/api/catalog/products")
        note_closing(tmp_path, False)
        again = await http.get("/api/health/ready")
    assert (closing.status_code, closing.json()) == (503, {"ready": False, "parts": {"shop": "closing"}})
    assert (served.status_code, again.status_code) == (200, 200)


async def test_what_a_checkout_needs_decides_and_each_port_has_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.composing.READY_SECONDS", 0.2)

    async def hang() -> None:
        await asyncio.Event().wait()

    async with alone(tmp_path, *SERVICES) as (http, shop):
        monkeypatch.setattr(shop.catalog, "categories", hang)
        answer = await http.get("/api/health/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "entities": "Problem",
        "catalog": "no answer within 0.2 s",
        "orders": "ok",
        "users": "ok",
        "payments": "ok",
        "notifications": "ok",
    }


async def test_a_checkout_can_do_without_mail() -> None:
    async def fail() -> None:
        raise OSError("the folder of somebody@example.com")

    async def work() -> None:
        pass

    assert await health_of({"orders": Port(work), "mail": Port(fail, needed=False)}, 1.0) == Health(
        True, {"orders": "ok", "mail": "OSError"}
    )
    assert (await health_of({"orders": Port(fail)}, 1.0)).ready is False
