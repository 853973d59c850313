"""Every change by staff is recorded: who, when, before, after, whatever becomes of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI

from actors.runtime.ports import Unavailable
from serve.changes.api import change_routes
from serve.changes.recording import Recording
from serve.changes.store import Change, ChangeStore, Wanted
from serve.gateway.access import staff
from serve.gateway.front import Front
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from tests.databases import Databases
from tests.unit.callers import PlainTokens, bearer

SAM = bearer("staff:sam", x_request_id="request-1")


class Things:
    """A service with a staff route for each way to end."""

    def __init__(self) -> None:
        self.prices = {"A": 10}

    async def look(self, name: str) -> dict[str, int]:
        return {"price": self.prices[name]}

    def routes(self) -> Routes:
        routes = Routes(tag="things")

        @routes.put("/api/admin/things/{name}", access="staff", body=dict[str, Any], answers={200: None}, summary="Put")
        async def put(request: Request) -> Response:
            if "fails" in request.body:
                raise {"refused": Problem("conflict", "no"), "away": Unavailable("no"), "bug": ZeroDivisionError()}[
                    request.body["fails"]
                ]
            self.prices["A"] = request.body["price"]
            return json({})

        @routes.get("/api/admin/things", access="staff", answers={200: None}, summary="Read")
        async def read(_: Request) -> Response:
            return json({})

        @routes.post("/api/things", answers={200: None}, summary="Anybody's")
        async def theirs(_: Request) -> Response:
            return json({})

        return routes


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[ChangeStore]:
    made = ChangeStore(databases("audit"))
    yield made
    await made.close()


@pytest.fixture
async def http(store: ChangeStore) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()

    @app.delete("/api/admin/slow/{name}")
    async def delete(name: str, _: Annotated[Principal, Depends(staff)]) -> dict[str, str]:
        return {}

    things = Things()
    ticks = iter(range(1000, 2000))
    recording = Recording(store, {"/api/admin/things": things.look}, now=lambda: next(ticks))
    front = Front(app, [things.routes(), change_routes(store)], tokens=PlainTokens(), staff_log=recording)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop", headers=SAM) as made:
        yield made


async def test_a_change_is_recorded_with_what_was_before_and_after(http: httpx.AsyncClient, store: ChangeStore) -> None:
    await http.put("/api/admin/things/A", json={"price": 12, "email": "ada@example.com"})
    await http.put("/api/admin/nothing", json={})
    assert await store.page(Wanted(), 10) == [
        Change(2, 1002, "sam", "PUT", "/api/admin/nothing", "request-1", 404, None, None),
        Change(1, 1000, "sam", "PUT", "/api/admin/things/A", "request-1", 200, {"price": 10}, {"price": 12}),
    ]


async def test_each_way_to_end_is_told(http: httpx.AsyncClient, store: ChangeStore, tmp_path: Path) -> None:
    things = "/api/admin/things/B"
    seen = [(await http.put(things, json={"fails": how})).status_code for how in ("refused", "away", "bug")]
    assert (await http.delete("/api/admin/slow/B")).status_code == 200
    changes = await store.page(Wanted(), 10)
    assert [change.status for change in changes] == [200, *reversed(seen)]
    assert seen == [409, 503, 500]
    assert [change.method for change in changes] == ["DELETE", "PUT", "PUT", "PUT"]


async def test_reading_and_other_people_are_not_recorded(http: httpx.AsyncClient, store: ChangeStore) -> None:
    assert (await http.get("/api/admin/things")).status_code == 200
    assert (await http.post("/api/things")).status_code == 200
    refused = await http.put("/api/admin/things/A", json={}, headers=bearer("user:ada"))
    assert refused.status_code == 403
    assert (await http.delete("/api/admin/slow/B", headers=bearer("user:ada"))).status_code == 403
    assert await store.page(Wanted(), 10) == []


async def test_what_cannot_be_recorded_is_not_done(http: httpx.AsyncClient, store: ChangeStore) -> None:
    await store.close()
    assert (await http.put("/api/admin/things/A", json={"price": 12})).status_code == 500


async def test_staff_page_through_the_changes(http: httpx.AsyncClient, store: ChangeStore) -> None:
    for number in range(5):
        who = "sam" if number % 2 else "kim"
        change = await store.began(number, who, "PUT", f"/api/admin/things/{number // 3}", "r", {"price": number})
        if number != 4:
            await store.ended(change, number + 10, 200, {"price": number + 1})

    async def numbers(**query: Any) -> list[int]:
        answer = await http.get("/api/admin/changes", params=query)
        assert answer.status_code == 200
        return [item["number"] for item in answer.json()["items"]]

    first = (await http.get("/api/admin/changes?limit=2")).json()
    assert first["items"][0] == {
        "number": 5,
        "at": 4,
        "who": "kim",
        "method": "PUT",
        "path": "/api/admin/things/1",
        "request_id": "r",
        "status": None,
        "before": {"price": 4},
        "after": None,
    }
    assert first["items"][1]["after"] == {"price": 4}
    assert first["next"] == "4"
    assert await numbers(limit=2, cursor="4") == [3, 2]
    assert await numbers(limit=2, cursor="2") == [1]
    assert await numbers(who="sam") == [4, 2]
    assert await numbers(path="/api/admin/things/1") == [5, 4]
    assert await numbers(path="/api/admin/things") == [5, 4, 3, 2, 1]
    assert await numbers(path="/api/admin/thing") == []
    assert await numbers(path="/api/admin/%") == []
    assert await numbers(since=1, until=2) == [3, 2]
    bad = await http.get("/api/admin/changes?cursor=x")
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_cursor")
    assert (await http.get("/api/admin/changes", headers=bearer("user:ada"))).status_code == 403


async def test_nothing_is_altered_or_deleted(store: ChangeStore) -> None:
    change = await store.began(1, "sam", "PUT", "/api/admin/things/A", "r", None)
    await store.ended(change, 2, 200, None)
    for statement in (
        "UPDATE staff_changes SET who = 'kim'",
        "DELETE FROM staff_changes",
        "UPDATE staff_outcomes SET status = 500",
        "DELETE FROM staff_outcomes",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="is not altered"), store._engine.begin() as connection:
            connection.exec_driver_sql(statement)
