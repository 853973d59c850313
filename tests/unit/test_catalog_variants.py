"""Products with variants: what they are made of, what is refused, and what shoppers see of them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve.catalog.saving import Saved
from serve.catalog.schemas import CatalogRefused, ProductDraft, VariantDraft
from serve.catalog.service import Catalog
from tests.databases import Databases
from tests.unit.catalog_over_http import MUG, SHOPPER, STAFF, asking, catalog_in

SHIRT: dict[str, Any] = {
    "name": "Linen shirt",
    "category": "Clothes/Shirts",
    "image": "shirt",
    "attributes": {"material": "linen", "weight": 0.2, "pockets": 1, "washable": True, "season": ["spring", "summer"]},
    "specifications": {"Care": "30 degrees"},
    "variants": [
        {"sku": "SHIRT-S-INK", "options": {"size": "S", "colour": "ink"}, "price": 4900, "image": "shirt-ink"},
        {"sku": "SHIRT-M-INK", "options": {"size": "M", "colour": "ink"}, "price": 5100},
        {"sku": "SHIRT-M-SAND", "options": {"size": "M", "colour": "sand"}, "price": 4700, "status": "gone"},
    ],
}


@pytest.fixture
async def catalog(databases: Databases) -> AsyncIterator[Catalog]:
    async with catalog_in(databases("catalog")) as made:
        yield made


@pytest.fixture
async def client(catalog: Catalog) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(catalog, STAFF) as made:
        yield made


@pytest.fixture
async def shirt(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.put("/api/admin/products/SHIRT", json=SHIRT)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def changed(client: httpx.AsyncClient, status: int = 200, **fields: Any) -> dict[str, Any]:
    answer = await client.put("/api/admin/products/SHIRT", json=SHIRT | fields)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def variants(**changes: Any) -> list[dict[str, Any]]:
    """The shirt's, with changes of the second."""
    first, second, third = SHIRT["variants"]
    return [first, second | changes, third]


async def test_a_page_shows_variants_with_options_price_and_availability(
    client: httpx.AsyncClient, catalog: Catalog, shirt: dict[str, Any]
) -> None:
    await catalog.note_availabilities([("SHIRT-S-INK", 3, 1), ("SHIRT-M-INK", 4, 1), ("SHIRT-M-SAND", 9, 1)])
    await client.put("/api/admin/products/MUG-1", json=MUG)  # so that nobody is shown an answer of a moment ago
    page = (await client.get("/api/catalog/products/linen-shirt")).json()
    assert page["options"] == [{"name": "size", "values": ["S", "M"]}, {"name": "colour", "values": ["ink", "sand"]}]
    assert page["variants"] == [
        {
            "sku": "SHIRT-S-INK",
            "options": {"size": "S", "colour": "ink"},
            "price": 4900,
            "status": "active",
            "image": "/api/catalog/images/shirt-ink.svg",
            "available": 3,
        },
        {
            "sku": "SHIRT-M-INK",
            "options": {"size": "M", "colour": "ink"},
            "price": 5100,
            "status": "active",
            "image": "/api/catalog/images/shirt.svg",
            "available": 4,
        },
        {
            "sku": "SHIRT-M-SAND",
            "options": {"size": "M", "colour": "sand"},
            "price": 4700,
            "status": "gone",
            "image": "/api/catalog/images/shirt.svg",
            "available": 9,
        },
    ]
    assert (page["key"], page["sku"], page["price"], page["price_max"], page["available"]) == (
        "SHIRT",
        "SHIRT-S-INK",
        4900,
        5100,
        7,
    )
    assert page["attributes"] == SHIRT["attributes"]
    assert page["specifications"] == SHIRT["specifications"]


async def test_a_list_shows_prices_from_to_and_what_is_left_of_any_variant(
    client: httpx.AsyncClient, catalog: Catalog, shirt: dict[str, Any]
) -> None:
    await catalog.note_availabilities([("SHIRT-M-INK", 4, 1), ("SHIRT-M-SAND", 9, 1)])
    (item,) = (await client.get("/api/catalog/products", params={"category": "clothes"})).json()["items"]
    assert item == {
        "sku": "SHIRT-S-INK",
        "slug": "linen-shirt",
        "name": "Linen shirt",
        "category": "clothes/shirts",
        "price": 4900,
        "price_max": 5100,
        "currency": "EUR",
        "image": "/api/catalog/images/shirt.svg",
        "available": 4,
        "variants": 3,
    }


async def test_the_same_again_changes_nothing_and_any_sku_leads_to_the_product(
    client: httpx.AsyncClient, shirt: dict[str, Any]
) -> None:
    assert await changed(client) == shirt
    for sku in ("SHIRT", "SHIRT-M-INK", "SHIRT-M-SAND"):
        assert (await client.get(f"/api/admin/products/{sku}")).json() == shirt


async def test_variants_are_replaced_added_and_removed(client: httpx.AsyncClient, shirt: dict[str, Any]) -> None:
    path = "/api/admin/products/SHIRT/variants"
    added = await client.put(f"{path}/SHIRT-L-INK", json={"options": {"size": "L", "colour": "ink"}, "price": 5300})
    assert (added.status_code, added.json()["version"], added.json()["price_max"]) == (201, 2, 5300)
    assert [one["sku"] for one in added.json()["variants"]][3:] == ["SHIRT-L-INK"]
    other = {"options": {"size": "L", "colour": "ink"}, "price": 5200, "image": "shirt-ink"}
    replaced = await client.put(f"{path}/SHIRT-L-INK", json=other)
    assert (replaced.status_code, replaced.json()["version"], replaced.json()["price_max"]) == (200, 3, 5200)
    assert (await client.put(f"{path}/SHIRT-L-INK", json=other)).json()["version"] == 3
    assert (await client.delete(f"{path}/SHIRT-S-INK")).status_code == 204
    left = (await client.get("/api/catalog/products/linen-shirt")).json()
    assert ([one["sku"] for one in left["variants"]], left["version"], left["sku"]) == (
        ["SHIRT-M-INK", "SHIRT-M-SAND", "SHIRT-L-INK"],
        4,
        "SHIRT-M-INK",
    )
    again = await changed(client, variants=SHIRT["variants"])
    assert again["variants"] == shirt["variants"]


async def test_another_order_of_options_or_variants_is_a_change_and_is_kept(
    client: httpx.AsyncClient, shirt: dict[str, Any]
) -> None:
    turned = [one | {"options": dict(reversed(one["options"].items()))} for one in reversed(SHIRT["variants"])]
    body = await changed(client, variants=turned)
    assert [(option["name"], option["values"]) for option in body["options"]] == [
        ("colour", ["sand", "ink"]),
        ("size", ["M", "S"]),
    ]
    assert (await changed(client, variants=turned)) == body
    assert body["version"] == 2


async def test_a_product_is_removed_with_its_variants(client: httpx.AsyncClient, shirt: dict[str, Any]) -> None:
    assert (await client.delete("/api/admin/products/SHIRT")).status_code == 204
    assert (await client.get("/api/catalog/products/linen-shirt")).status_code == 404
    assert (await client.delete("/api/admin/products/SHIRT")).json()["code"] == "no_such_product"
    assert (await client.put("/api/admin/products/SHIRT-S-INK", json=MUG)).status_code == 201


async def test_a_product_whose_variants_are_all_gone_is_gone(client: httpx.AsyncClient, shirt: dict[str, Any]) -> None:
    body = await changed(client, variants=[one | {"status": "gone"} for one in SHIRT["variants"]])
    assert (body["status"], body["price"], body["price_max"]) == ("gone", 4700, 5100)
    assert (await client.get("/api/catalog/products")).json()["items"] == []
    tree = (await client.get("/api/catalog/categories")).json()["items"]
    assert [(node["path"], node["count"]) for node in tree] == [("clothes", 0)]
    assert (await changed(client))["status"] == "active"


async def test_related_products_are_shown_short_if_they_are_for_sale(
    client: httpx.AsyncClient, shirt: dict[str, Any]
) -> None:
    related = ["GONE", "MUG-1", "SHIRT", "NOWHERE", "SHIRT-S-INK", "MUG-1"]
    await client.put("/api/admin/products/MUG-1", json=MUG)
    await client.put("/api/admin/products/GONE", json=MUG | {"status": "gone"})
    body = await changed(client, related=related)
    assert [(one["sku"], one["slug"], one["price"]) for one in body["related"]] == [("MUG-1", "moss-mug", 1450)]
    mug = (await client.put("/api/admin/products/MUG-1", json=MUG | {"related": ["SHIRT-M-INK"]})).json()
    assert [one["slug"] for one in mug["related"]] == ["linen-shirt"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"variants": []}, 422, "invalid_request"),
        ({"variants": variants(sku="SHIRT-S-INK")}, 422, "bad_variants"),
        ({"variants": variants(options={"size": "S", "colour": "ink"})}, 422, "bad_variants"),
        ({"variants": variants(options={"size": "M"})}, 422, "bad_variants"),
        ({"variants": variants(options={"size": "M", "colour": ""})}, 422, "invalid_request"),
        ({"variants": variants(sku="A B")}, 422, "invalid_request"),
        ({"variants": variants(sku="MUG-1")}, 409, "sku_taken"),
        ({"attributes": {"weight": None}}, 422, "invalid_request"),
    ],
)
async def test_what_nobody_could_choose_between_is_refused(
    client: httpx.AsyncClient, shirt: dict[str, Any], fields: dict[str, Any], status: int, code: str
) -> None:
    await client.put("/api/admin/products/MUG-1", json=MUG)
    answer = await client.put("/api/admin/products/SHIRT", json=SHIRT | fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await client.get("/api/admin/products/SHIRT")).json() == shirt


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", "SHIRT", MUG, 409, "has_variants"),
        ("PUT", "SHIRT-S-INK", MUG, 409, "sku_taken"),
        ("PATCH", "SHIRT", {"price": 1}, 422, "bad_variants"),
        ("PATCH", "SHIRT", {"price": 1, "variants": [{"sku": "SHIRT", "price": 1}]}, 422, "bad_variants"),
        ("PUT", "SHIRT/variants/SHIRT-L", {"price": 1, "options": {"size": "L"}}, 422, "bad_variants"),
        ("PUT", "SHIRT/variants/A B", {"price": 1, "options": {"size": "L", "colour": "ink"}}, 422, "bad_sku"),
        ("PUT", "SHIRT/variants/MUG-1", {"price": 1, "options": {"size": "L", "colour": "ink"}}, 409, "sku_taken"),
        ("PUT", "NOWHERE/variants/X", {"price": 1}, 404, "no_such_product"),
        ("PUT", "SHIRT/variants/X", {"options": {}}, 422, "invalid_request"),
        ("DELETE", "SHIRT/variants/MUG-1", None, 404, "no_such_variant"),
        ("DELETE", "MUG-1/variants/MUG-1", None, 409, "last_variant"),
        ("DELETE", "SHIRT-S-INK", None, 404, "no_such_product"),
    ],
)
async def test_what_staff_may_not_do_with_variants(
    client: httpx.AsyncClient, shirt: dict[str, Any], method: str, path: str, body: Any, status: int, code: str
) -> None:
    await client.put("/api/admin/products/MUG-1", json=MUG)
    answer = await client.request(method, f"/api/admin/products/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await client.get("/api/admin/products/SHIRT")).json() == shirt


async def test_a_patch_reaches_the_only_variant_and_keeps_what_it_is(client: httpx.AsyncClient) -> None:
    only = [SHIRT["variants"][0]]
    await changed(client, 201, variants=only)
    patched = (await client.patch("/api/admin/products/SHIRT", json={"price": 1000, "name": "Shirt"})).json()
    assert (patched["name"], patched["price"], patched["variants"][0]["options"]) == (
        "Shirt",
        1000,
        {"size": "S", "colour": "ink"},
    )


@pytest.mark.parametrize(("headers", "status"), [({"Authorization": ""}, 401), (SHOPPER, 403)])
async def test_only_staff_change_variants(
    client: httpx.AsyncClient, shirt: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    path = "/api/admin/products/SHIRT"
    assert (await client.delete(path, headers=headers)).status_code == status
    assert (await client.delete(f"{path}/variants/SHIRT-S-INK", headers=headers)).status_code == status
    assert (await client.put(f"{path}/variants/X", json={"price": 1}, headers=headers)).status_code == status
    assert (await client.get(path)).json() == shirt


async def test_many_drafts_in_one_transaction_see_each_other(catalog: Catalog) -> None:
    def one(*skus: str, slug: str | None = None) -> ProductDraft:
        made = [VariantDraft(sku=sku, price=1, options={"size": sku}) for sku in skus]
        return ProductDraft(name="Thing", category="Things", variants=made, slug=slug)

    outcomes = await catalog.put_products(
        [
            ("P1", one("A", "B")),
            ("P2", one("B")),
            ("P1", one("A")),
            ("P3", one("B", slug="thing")),
            ("P4", one("C", slug="other")),
            ("P4", one("C", slug="renamed")),
            ("P5", one("D", slug="other")),
            ("P6", one("B")),
        ]
    )
    codes = [outcome.code if isinstance(outcome, CatalogRefused) else outcome.created for outcome in outcomes]
    assert codes == [True, "sku_taken", False, "slug_taken", True, False, True, True]
    saved = [outcome.product for outcome in outcomes if isinstance(outcome, Saved)]
    assert [(one.key, one.version, one.slug) for one in saved] == [
        ("P1", 1, "thing"),
        ("P1", 2, "thing"),
        ("P4", 1, "other"),
        ("P4", 2, "renamed"),
        ("P5", 1, "other"),
        ("P6", 1, "thing-2"),
    ]
    assert (await catalog.prices_of(["B"]))["B"].version == 3
    assert [product.key for product in await catalog.products_after("")] == ["P1", "P4", "P5", "P6"]
