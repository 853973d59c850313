"""The catalogue over HTTP, through the gateway's front: what shoppers see, what staff may do, and how errors look."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from serve.catalog.service import Catalog
from tests.unit.catalog_over_http import MUG, SHOPPER, STAFF, SVG, asking, catalog_in


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    async with catalog_in(f"sqlite:///{tmp_path / 'catalog.db'}") as made:
        yield made


@pytest.fixture
async def client(catalog: Catalog) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(catalog) as made:
        yield made


async def test_staff_put_a_product_and_shoppers_see_all_of_it(client: httpx.AsyncClient, catalog: Catalog) -> None:
    put = await client.put(
        "/api/admin/products/MUG-1", json=MUG | {"specifications": {"Size": "350 ml"}}, headers=STAFF
    )
    assert put.status_code == 201
    assert put.headers["location"] == "/api/catalog/products/moss-mug"
    await catalog.note_availability("MUG-1", 12, 1)
    seen = await client.get("/api/catalog/products/moss-mug")
    assert seen.status_code == 200
    assert seen.json() == {
        "key": "MUG-1",
        "sku": "MUG-1",
        "slug": "moss-mug",
        "name": "Moss mug",
        "description": "Green.",
        "category": "kitchen/mugs",
        "trail": [{"path": "kitchen", "name": "Kitchen"}, {"path": "kitchen/mugs", "name": "Mugs"}],
        "price": 1450,
        "price_max": 1450,
        "currency": "EUR",
        "tax_class": "standard",
        "status": "active",
        "specifications": {"Size": "350 ml"},
        "attributes": {},
        "options": [],
        "variants": [
            {
                "sku": "MUG-1",
                "options": {},
                "price": 1450,
                "status": "active",
                "image": "/api/catalog/images/mug.svg",
                "available": 12,
            }
        ],
        "related": [],
        "image": "/api/catalog/images/mug.svg",
        "available": 12,
        "version": 1,
        "created_at": 1_750_000_000_000,
    }
    again = await client.put(
        "/api/admin/products/MUG-1", json=MUG | {"specifications": {"Size": "350 ml"}}, headers=STAFF
    )
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert (await client.get("/api/admin/products/MUG-1", headers=STAFF)).json() == seen.json()


async def test_a_change_by_staff_is_in_the_next_answer(client: httpx.AsyncClient) -> None:
    await client.put("/api/admin/products/MUG-1", json=MUG, headers=STAFF)
    assert (await client.get("/api/catalog/products/moss-mug")).json()["price"] == 1450
    assert len((await client.get("/api/catalog/products")).json()["items"]) == 1
    patched = await client.patch("/api/admin/products/MUG-1", json={"price": 990, "status": "gone"}, headers=STAFF)
    assert (patched.status_code, patched.json()["version"]) == (200, 2)
    seen = (await client.get("/api/catalog/products/moss-mug")).json()
    assert (seen["price"], seen["status"]) == (990, "gone")
    assert (await client.get("/api/catalog/products")).json() == {"items": [], "next": None}


async def test_lists_page_through_a_category(client: httpx.AsyncClient) -> None:
    for n in range(5):
        body = MUG | {"name": f"Mug {n}", "price": n, "category": "Kitchen/Mugs" if n else "Home"}
        assert (await client.put(f"/api/admin/products/M{n}", json=body, headers=STAFF)).status_code == 201
    query = {"category": "kitchen", "sort": "-price", "limit": "3"}
    first = (await client.get("/api/catalog/products", params=query)).json()
    assert [item["sku"] for item in first["items"]] == ["M4", "M3", "M2"]
    assert first["items"][0] == {
        "sku": "M4",
        "slug": "mug-4",
        "name": "Mug 4",
        "category": "kitchen/mugs",
        "price": 4,
        "price_max": 4,
        "currency": "EUR",
        "image": "/api/catalog/images/mug.svg",
        "available": None,
        "variants": 1,
    }
    second = (await client.get("/api/catalog/products", params=query | {"cursor": first["next"]})).json()
    assert ([item["sku"] for item in second["items"]], second["next"]) == (["M1"], None)
    tree = (await client.get("/api/catalog/categories")).json()
    mugs = {"path": "kitchen/mugs", "name": "Mugs", "count": 4, "children": []}
    assert tree == {
        "items": [
            {"path": "home", "name": "Home", "count": 1, "children": []},
            {"path": "kitchen", "name": "Kitchen", "count": 4, "children": [mugs]},
        ]
    }


async def test_images_are_cached_and_cannot_run(client: httpx.AsyncClient, catalog: Catalog) -> None:
    await catalog.put_images([("mug", SVG)])
    first = await client.get("/api/catalog/images/mug.svg")
    assert (first.status_code, first.text, first.headers["content-type"]) == (200, SVG, "image/svg+xml")
    assert first.headers["cache-control"] == "public, max-age=3600, stale-while-revalidate=86400"
    assert first.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    same = await client.get("/api/catalog/images/mug.svg", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    other = await client.get("/api/catalog/images/mug.svg", headers={"If-None-Match": '"x"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/catalog/products/nothing", 404, "no_such_product"),
        ("/api/catalog/products?category=nowhere", 404, "no_such_category"),
        ("/api/catalog/products?cursor=x", 400, "bad_cursor"),
        ("/api/catalog/products?sort=colour", 422, "invalid_request"),
        ("/api/catalog/products?limit=0", 422, "invalid_request"),
        ("/api/catalog/products?limit=101", 422, "invalid_request"),
        ("/api/catalog/images/nothing.svg", 404, "no_such_image"),
        ("/api/catalog/images/nothing.png", 404, "no_such_image"),
        ("/api/catalog/images/svg", 404, "no_such_image"),
    ],
)
async def test_what_is_not_there_is_a_problem(client: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("sku", "body", "status", "code"),
    [
        ("MUG-2", {"name": "x"}, 422, "invalid_request"),
        ("MUG-2", MUG | {"price": -1}, 422, "invalid_request"),
        ("MUG-2", MUG | {"colour": "red"}, 422, "invalid_request"),
        ("MUG-2", MUG | {"slug": "Not A Slug"}, 422, "invalid_request"),
        ("MUG-2", MUG | {"category": " / "}, 422, "bad_category"),
        ("MUG 2", MUG, 422, "bad_sku"),
        ("MUG-2", MUG | {"slug": "moss-mug"}, 409, "slug_taken"),
        ("MUG-2", MUG | {"attributes": {"Colour": "red"}}, 422, "invalid_request"),
        ("MUG-2", MUG | {"attributes": {"colour": {"red": 1}}}, 422, "invalid_request"),
        ("MUG-2", {"name": "Mug", "category": "Mugs"}, 422, "bad_variants"),
        ("MUG-2", MUG | {"variants": [{"sku": "X", "price": 1}]}, 422, "bad_variants"),
        ("MUG-2", {"name": "Mug", "category": "Mugs", "variants": [{"sku": "MUG-1", "price": 1}]}, 409, "sku_taken"),
    ],
)
async def test_what_staff_may_not_put(
    client: httpx.AsyncClient, sku: str, body: dict[str, object], status: int, code: str
) -> None:
    await client.put("/api/admin/products/MUG-1", json=MUG, headers=STAFF)
    answer = await client.put(f"/api/admin/products/{sku}", json=body, headers=STAFF)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await client.get("/api/admin/products/MUG-2", headers=STAFF)).status_code == 404


async def test_a_change_on_an_old_version_tells_the_new_one(client: httpx.AsyncClient) -> None:
    await client.put("/api/admin/products/MUG-1", json=MUG, headers=STAFF)
    answer = await client.patch("/api/admin/products/MUG-1", json={"price": 1, "version": 9}, headers=STAFF)
    assert (answer.status_code, answer.json()["code"], answer.json()["version"]) == (409, "version_changed", 1)


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (SHOPPER, 403)])
async def test_only_staff_change_products(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    for answer in (
        await client.put("/api/admin/products/MUG-1", json=MUG, headers=headers),
        await client.patch("/api/admin/products/MUG-1", json={"price": 1}, headers=headers),
        await client.get("/api/admin/products/MUG-1", headers=headers),
    ):
        assert answer.status_code == status
    assert (await client.get("/api/catalog/products")).json()["items"] == []


async def test_every_route_is_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    assert {path for path in described if path.startswith("/api/catalog") or "products" in path} == {
        "/api/catalog/categories",
        "/api/catalog/products",
        "/api/catalog/products/{slug}",
        "/api/catalog/images/{file}",
        "/api/admin/products/{sku}",
        "/api/admin/products/{sku}/variants/{variant}",
    }
