"""Search over HTTP, through the gateway's front: what is found, what is refused, and what happens when too many ask."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from serve.catalog.search import embedded
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.api import search_routes
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.schemas import SearchPage
from serve.catalog.search.synonyms import Synonyms
from serve.cli.main import app
from serve.gateway.front import Front
from tests.unit.callers import PlainTokens
from tests.unit.searching import product, variant, written

TEE = product(
    "tee",
    "Red tee & more",
    "Wear/Shirts",
    description="A tee.",
    variants=(variant("TEE-S", 1_500, size="S"), variant("TEE-M", 2_500, size="M")),
    attributes={"Thread count": 140, "Colour": "Red"},
)
CAP = product("cap", "Cap", "Wear/Hats", price=900, attributes={"Colour": "Blue"})


def searching(folder: Path, **limits: Any) -> EmbeddedSearch:
    analysis = Analysis("en")
    return EmbeddedSearch(folder, analysis, Synonyms(None, analysis), **({"seconds": 20.0} | limits))


def calling(search: EmbeddedSearch) -> httpx.AsyncClient:
    front = Front(FastAPI(), [search_routes(search, "GBP")], tokens=PlainTokens())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://shop")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await written(tmp_path / "search", [TEE, CAP], frozenset({"TEE-M"}))
    search = searching(tmp_path / "search")
    async with calling(search) as made:
        yield made
    await search.close()


async def test_what_is_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/catalog/search", params={"q": "tees"})
    assert answer.status_code == 200
    assert answer.json() == {
        "items": [
            {
                "sku": "TEE-S",
                "slug": "red-tee-and-more",
                "name": "Red tee & more",
                "category": "wear/shirts",
                "price": 1_500,
                "price_max": 2_500,
                "currency": "GBP",
                "image": None,
                "available": True,
                "highlights": {"name": "Red <mark>tee</mark> &amp; more", "description": "A <mark>tee</mark>."},
            }
        ],
        "total": 1,
        "matched": "all_words",
        "facets": {
            "categories": [
                {
                    "path": "wear",
                    "name": "Wear",
                    "count": 1,
                    "selected": False,
                    "children": [
                        {"path": "wear/shirts", "name": "Shirts", "count": 1, "selected": False, "children": []}
                    ],
                }
            ],
            "prices": [{"low": 1_000, "high": 2_000, "count": 1}],
            "availability": {"available": 1, "unavailable": 0},
            "attributes": [
                {
                    "name": "size",
                    "label": "size",
                    "type": "text",
                    "count": 2,
                    "values": [
                        {"value": "m", "label": "M", "count": 1, "selected": False},
                        {"value": "s", "label": "S", "count": 1, "selected": False},
                    ],
                    "low": None,
                    "high": None,
                },
                {
                    "name": "colour",
                    "label": "Colour",
                    "type": "text",
                    "count": 1,
                    "values": [{"value": "red", "label": "Red", "count": 1, "selected": False}],
                    "low": None,
                    "high": None,
                },
                {
                    "name": "thread_count",
                    "label": "Thread count",
                    "type": "number",
                    "count": 1,
                    "values": [],
                    "low": 140.0,
                    "high": 140.0,
                },
            ],
        },
        "next": None,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"tee", "cap"}),
        ("q=", {"tee", "cap"}),
        ("q=!!!", set()),
        ("category=wear/hats", {"cap"}),
        ("category=wear/hats&category=wear/shirts", {"tee", "cap"}),
        ("price_min=1000", {"tee"}),
        ("price_max=1000", {"cap"}),
        ("available=true", {"tee"}),
        ("available=false", {"cap"}),
        ("attr.colour=red,blue", {"tee", "cap"}),
        ("attr.colour=red%2CBlue", {"tee", "cap"}),
        ("attr.Colour=Red", {"tee"}),
        ("attr.colour=red&attr.colour=blue", {"tee", "cap"}),
        ("attr.thread_count=100..200", {"tee"}),
        ("attr.thread_count=..139", set()),
        ("attr.thread%20count=140", {"tee"}),
        ("attr.colour=red&attr.size=m", {"tee"}),
        ("attr.smell=rose", set()),
        ("q=red+tee&sort=-price&limit=1", {"tee"}),
        ("unheard_of=1", {"tee", "cap"}),
    ],
)
async def test_filters_of_the_address(client: httpx.AsyncClient, query: str, found: set[str]) -> None:
    answer = await client.get(f"/api/catalog/search?{query}")
    assert answer.status_code == 200
    assert {item["sku"][:3].lower() for item in answer.json()["items"]} == found


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("q=" + "a" * 201, "/query/q"),
        ("price_min=cheap", "/query/price_min"),
        ("price_min=-1", "/query/price_min"),
        ("price_min=20&price_max=10", "/query/price_min"),
        ("available=perhaps", "/query/available"),
        ("sort=best", "/query/sort"),
        ("limit=0", "/query/limit"),
        ("limit=101", "/query/limit"),
        ("category=", "/query/category/0"),
        ("attr.=red", "/query/attr."),
        ("attr.colour=", "/query/attr.colour"),
        ("attr.colour=red,,blue", "/query/attr.colour"),
        ("attr.weight=2..1", "/query/attr.weight"),
        ("attr.weight=..", "/query/attr.weight"),
        ("attr.weight=a..b", "/query/attr.weight"),
        ("attr.weight=nan..1", "/query/attr.weight"),
        ("attr.colour=" + ",".join("abc" for _ in range(51)), "/query/attr.colour"),
        ("&".join(f"attr.a{n}=1" for n in range(21)), "/query/attr"),
    ],
)
async def test_bad_parameters_are_named(client: httpx.AsyncClient, query: str, where: str) -> None:
    answer = await client.get(f"/api/catalog/search?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["where"] == where


async def test_pages(client: httpx.AsyncClient) -> None:
    query = {"sort": "price", "limit": "1"}
    first = (await client.get("/api/catalog/search", params=query)).json()
    second = (await client.get("/api/catalog/search", params=query | {"cursor": first["next"]})).json()
    assert [item["sku"] for item in first["items"] + second["items"]] == ["CAP", "TEE-S"]
    assert (first["total"], second["total"], second["facets"], second["next"]) == (2, 2, None, None)
    wrong = await client.get("/api/catalog/search", params={"sort": "name", "cursor": first["next"]})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_cursor")


async def test_suggestions(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/catalog/suggestions", params={"q": "re"})
    assert answer.json() == {
        "items": [
            {"kind": "words", "text": "red", "target": None, "image": None},
            {"kind": "product", "text": "Red tee & more", "target": "red-tee-and-more", "image": None},
        ]
    }
    assert (await client.get("/api/catalog/suggestions", params={"limit": "21"})).status_code == 422


async def test_without_an_index_it_is_said(tmp_path: Path) -> None:
    search = searching(tmp_path / "nothing")
    async with calling(search) as client:
        for path in ("/api/catalog/search", "/api/catalog/suggestions?q=tee"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "search_rebuilding")
            assert answer.headers["retry-after"] == "2"
    await search.close()


async def test_the_description_shows_an_answer(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    answers = document["paths"]["/api/catalog/search"]["get"]["responses"]
    (example,) = document["components"]["schemas"]["SearchPage"]["examples"]
    assert msgspec.to_builtins(msgspec.convert(example, SearchPage)) == example
    assert "`search_rebuilding`" in answers["503"]["description"]
    named = [one["name"] for one in document["paths"]["/api/catalog/search"]["get"]["parameters"]]
    assert named == ["q", "category", "price_min", "price_max", "available", "sort", "cursor", "limit"]


class _Held:
    """Searches hang until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        real = embedded.EmbeddedSearch._suggest

        def suggest(search: EmbeddedSearch, text: str, limit: int) -> Any:
            self.begun.release()
            self.go.wait(20)
            return real(search, text, limit)

        monkeypatch.setattr(embedded.EmbeddedSearch, "_suggest", suggest)


async def test_beyond_the_bound_it_answers_503_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written(tmp_path / "search", [TEE])
    held = _Held(monkeypatch)
    search = searching(tmp_path / "search", threads=1, waiting=1)
    async with calling(search) as client:
        asking = [asyncio.create_task(client.get("/api/catalog/suggestions?q=te")) for _ in range(2)]
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        refused = await client.get("/api/catalog/suggestions?q=te")
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
        held.go.set()
        assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200, 200]
        assert (await client.get("/api/catalog/suggestions?q=te")).status_code == 200
    await search.close()


async def test_a_search_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written(tmp_path / "search", [TEE])
    held = _Held(monkeypatch)
    search = searching(tmp_path / "search", threads=1, waiting=0, seconds=0.05)
    async with calling(search) as client:
        late = await client.get("/api/catalog/suggestions?q=te")
        assert (late.status_code, late.json()["code"]) == (503, "unavailable")
        # The thread is still busy: its room is not given to another.
        assert (await client.get("/api/catalog/suggestions?q=te")).json()["code"] == "overloaded"
        held.go.set()
    await search.close()


def test_the_command_asks_for_a_rebuild(tmp_path: Path) -> None:
    nothing = CliRunner().invoke(app, ["search", "rebuild", "--data", str(tmp_path)])
    assert (nothing.exit_code, (tmp_path / "search").exists()) == (2, False)
    (tmp_path / "catalog.db").touch()
    asked = CliRunner().invoke(app, ["search", "rebuild", "--data", str(tmp_path)])
    assert (asked.exit_code, (tmp_path / "search" / "rebuild-wanted").exists()) == (0, True)
    assert asked.output == (
        "Asked for a new search index. No shop runs: it begins when it is opened; the old one answers until then.\n"
    )
