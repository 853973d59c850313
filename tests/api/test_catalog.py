"""The catalogue over HTTP: browsing for shoppers, products for staff."""

import secrets

import httpx

from tests.api.conftest import MakeProduct
from tests.api.shopping import Json, Staff, body, problem
from tests.waiting import eventually


def _branch(tree: Json, name: str) -> Json:
    found: Json = next(node for node in tree["items"] if node["name"] == name)
    return found


def test_the_tree_counts_what_is_for_sale(web: httpx.Client, staff: Staff, product: MakeProduct) -> None:
    root = f"Root {secrets.token_hex(4)}"
    product(category=f"{root}/Mugs")
    product(category=f"{root}/Mugs")
    gone = product(category=f"{root}/Plates")
    product(category=root)

    branch = _branch(body(web.get("/api/catalog/categories")), root)
    assert branch["count"] == 4
    assert {child["name"]: child["count"] for child in branch["children"]} == {"Mugs": 2, "Plates": 1}

    staff.change_product(gone, status="gone")
    branch = _branch(body(web.get("/api/catalog/categories")), root)
    assert branch["count"] == 3
    assert {child["name"]: child["count"] for child in branch["children"]} == {"Mugs": 2, "Plates": 0}


def test_products_are_paged_by_cursor_in_each_order(web: httpx.Client, product: MakeProduct) -> None:
    root = f"Paged {secrets.token_hex(4)}"
    skus = [product(price=price, stock=0, category=root, name=f"Thing {price}") for price in (300, 100, 500, 200, 400)]
    path = _branch(body(web.get("/api/catalog/categories")), root)["path"]

    def pages(sort: str) -> list[list[str]]:
        found, query = [], {"category": path, "sort": sort, "limit": "2"}
        while True:
            page = body(web.get("/api/catalog/products", params=query))
            found.append([item["sku"] for item in page["items"]])
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    by_price = [skus[1], skus[3], skus[0], skus[4], skus[2]]
    assert pages("price") == [by_price[:2], by_price[2:4], by_price[4:]]
    assert pages("-price") == [by_price[4:2:-1], by_price[2:0:-1], by_price[:1]]
    assert pages("name") == [by_price[:2], by_price[2:4], by_price[4:]]
    assert [sku for page in pages("newest") for sku in page] == skus[::-1]


def test_a_product_has_all_of_its_details(web: httpx.Client, staff: Staff) -> None:
    sku = f"T-{secrets.token_hex(5)}"
    draft = {
        "name": f"Stoneware mug {sku}",
        "category": "Details/Mugs",
        "price": 1450,
        "description": "Thrown by hand.",
        "specifications": {"Capacity": "350 ml"},
    }
    answer = staff.call("PUT", f"/api/admin/products/{sku}", json=draft)
    made = body(answer, 201)

    shown = body(web.get(answer.headers["location"]))

    assert shown == made
    assert {name: shown[name] for name in draft if name != "category"} == {
        name: value for name, value in draft.items() if name != "category"
    }
    assert (shown["sku"], shown["currency"], shown["status"]) == (sku, "GBP", "active")
    assert [step["name"] for step in shown["trail"]] == ["Details", "Mugs"]


def test_the_same_product_again_changes_nothing(staff: Staff) -> None:
    sku = f"T-{secrets.token_hex(5)}"
    first = staff.put_product(sku, 1000)
    draft = {"name": "A thing", "category": "Tests", "price": 1000, "description": "For tests only."}
    assert body(staff.call("PUT", f"/api/admin/products/{sku}", json=draft)) == first


def test_a_change_made_meanwhile_is_not_overwritten(staff: Staff, product: MakeProduct) -> None:
    sku = product(price=1000)
    version = body(staff.call("GET", f"/api/admin/products/{sku}"))["version"]
    staff.change_product(sku, price=1100, version=version)
    late = staff.call("PATCH", f"/api/admin/products/{sku}", json={"price": 900, "version": version})
    problem(late, 409, "version_changed")
    assert body(staff.call("GET", f"/api/admin/products/{sku}"))["price"] == 1100


def test_availability_follows_the_stock(web: httpx.Client, staff: Staff, product: MakeProduct) -> None:
    sku = product(stock=7)
    slug = body(staff.call("GET", f"/api/admin/products/{sku}"))["slug"]

    def available() -> object:
        return body(web.get(f"/api/catalog/products/{slug}"))["available"]

    eventually(lambda: available() == 7)
    counted = {"on_hand": 3, "reason": "four were broken"}
    assert body(staff.call("POST", f"/api/admin/stock/{sku}/corrections", json=counted))["corrected"] == -4
    eventually(lambda: available() == 3)


def test_a_product_that_is_gone_is_still_told_of_but_not_listed(
    web: httpx.Client, staff: Staff, product: MakeProduct
) -> None:
    root = f"Going {secrets.token_hex(4)}"
    sku, kept = product(category=root), product(category=root)
    gone = staff.change_product(sku, status="gone")

    assert body(web.get(f"/api/catalog/products/{gone['slug']}"))["status"] == "gone"
    path = _branch(body(web.get("/api/catalog/categories")), root)["path"]
    page = body(web.get("/api/catalog/products", params={"category": path}))
    assert [item["sku"] for item in page["items"]] == [kept]


def test_what_is_not_there_is_said_so(web: httpx.Client) -> None:
    problem(web.get("/api/catalog/products/no-such-thing"), 404, "no_such_product")
    problem(web.get("/api/catalog/products", params={"category": "no/such"}), 404, "no_such_category")
    problem(web.get("/api/catalog/products", params={"cursor": "nonsense"}), 400, "bad_cursor")
    problem(web.get("/api/catalog/images/no-such.svg"), 404, "no_such_image")
