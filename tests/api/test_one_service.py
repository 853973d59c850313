"""One service alone on a real Ray: what it has it answers, what it lacks it names; and it ends in order."""

import http.client
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.shopping import Staff, bearer, body, problem
from tests.running import RunningShop
from tests.waiting import eventually

CLOSING_SECONDS = 4


@pytest.fixture(scope="module")
def catalogue() -> Iterator[RunningShop]:
    with RunningShop(services=["catalog"], TROUPE_CLOSING_SECONDS=str(CLOSING_SECONDS)) as running:
        yield running


def test_the_catalogue_alone(catalogue: RunningShop) -> None:
    with catalogue.client() as web:
        staff = Staff(web, catalogue.staff_token())
        staff.put_product("MUG", 1450)
        assert [one["sku"] for one in body(web.get("/api/catalog/products"))["items"]] == ["MUG"]
        assert problem(web.get("/api/cart"), 503, "service_unavailable")["part"] == "carts"
        assert problem(web.post("/api/users", json={}), 503, "service_unavailable")["part"] == "users"
        ready = body(web.get("/api/health/ready"))
        assert {name for name, state in ready["parts"].items() if state == "ok"} == {"catalog"}
        changes = body(web.get("/api/admin/changes", headers=bearer(catalogue.staff_token())))["items"]
        assert [(one["path"], one["status"]) for one in changes] == [("/api/admin/products/MUG", 201)]
    assert catalogue.hosts() == []


def test_told_to_end_it_is_not_ready_and_answers_what_it_had_accepted(catalogue: RunningShop) -> None:
    draft = json.dumps({"name": "Late", "category": "Tests", "price": 100}).encode()
    late = http.client.HTTPConnection("127.0.0.1", catalogue.port, timeout=60.0)
    late.putrequest("PUT", "/api/admin/products/LATE")
    late.putheader("Authorization", f"Bearer {catalogue.staff_token()}")
    late.putheader("Content-Type", "application/json")
    late.putheader("Content-Length", str(len(draft)))
    late.endheaders(draft[:10])
    # Answered after it on the same way, so the other one has been accepted.
    assert httpx.get(f"{catalogue.url}/api/catalog/products").status_code == 200

    catalogue.ask_to_stop()
    eventually(lambda: httpx.get(f"{catalogue.url}/api/health/ready").status_code == 503)
    assert httpx.get(f"{catalogue.url}/api/health/ready").json() == {"ready": False, "parts": {"shop": "closing"}}
    assert httpx.get(f"{catalogue.url}/api/catalog/products").status_code == 200
    eventually(lambda: "Closing the shop" in catalogue.log())
    late.send(draft[10:])
    assert late.getresponse().status == 201
    late.close()
    catalogue.stop()
