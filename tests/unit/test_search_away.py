"""Search while Elasticsearch is not there, or says nothing: it says so, and soon."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actors.runtime.ports import Unavailable
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import Asked
from serve.catalog.search.choosing import is_rebuild_wanted, names_of
from serve.catalog.search.contents import contents_of
from serve.catalog.search.elastic import ElasticSearch
from serve.catalog.search.elastic_client import PREFIX, Access
from serve.catalog.search.elastic_indexes import Names
from serve.catalog.search.synonyms import Synonyms
from serve.circuit import FIRST_PAUSE, UP, Circuit
from serve.settings import load


@asynccontextmanager
async def searching(url: str, seconds: float) -> AsyncIterator[ElasticSearch]:
    analysis = Analysis("en")
    search = ElasticSearch(Access(url), analysis, Synonyms(None, analysis), Names("en", PREFIX), seconds=seconds)
    yield search
    await search.close()


def up() -> float:
    return float(UP.labels("elasticsearch")._value.get())


async def test_nobody_listens(unused_tcp_port: int) -> None:
    async with searching(f"http://user:secret@127.0.0.1:{unused_tcp_port}", 2) as search:
        for _ in range(5):
            with pytest.raises(Unavailable) as raised:
                await search.search(Asked(text="kettle"))
            assert "secret" not in str(raised.value)
        with pytest.raises(Unavailable):
            await search.suggest("kett", 3)
        assert up() == 0


async def test_a_server_that_says_nothing_costs_few_their_deadline() -> None:
    held: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with searching(f"http://127.0.0.1:{port}", 0.1) as search:
        began = time.monotonic()
        for _ in range(50):
            with pytest.raises(Unavailable):
                await search.search(Asked(text="kettle"))
        assert time.monotonic() - began < 3
        assert len(held) <= 5
    for writer in held:
        writer.close()
    server.close()
    await server.wait_closed()


def test_a_circuit_lets_few_try() -> None:
    now = 0.0
    circuit = Circuit("somebody", failures=2, monotonic=lambda: now)
    circuit.failed()
    assert circuit.may_try()
    circuit.worked()
    circuit.failed()
    circuit.failed()
    assert (circuit.up, circuit.may_try()) == (False, False)
    now = FIRST_PAUSE
    assert [circuit.may_try(), circuit.may_try()] == [True, False]
    circuit.failed()
    now += FIRST_PAUSE
    assert not circuit.may_try()
    now += FIRST_PAUSE
    assert circuit.may_try()
    circuit.worked()
    assert [circuit.up, circuit.may_try(), circuit.may_try()] == [True, True, True]


async def test_who_compares_an_index_asks_for_the_one_of_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def contents(client: object, names: Names) -> dict[str, object]:
        asked.append(names.products)
        return {}

    async def wanted(client: object, names: Names) -> bool:
        asked.append(names.state)
        return False

    monkeypatch.setattr("serve.catalog.search.contents.in_elasticsearch", contents)
    monkeypatch.setattr("serve.catalog.search.choosing.wanted_of_elasticsearch", wanted)
    settings = load(elasticsearch_url="http://127.0.0.1:1", kafka_prefix="second-")
    assert (await contents_of(settings), await is_rebuild_wanted(settings)) == ({}, False)
    assert asked == ["second-troupe-products-2-en", "second-troupe-state"]


def test_shops_that_share_a_server_have_indexes_of_their_own() -> None:
    alone, second = (names_of(load(kafka_prefix=prefix)) for prefix in ("", "second-"))
    assert (alone.products, alone.state) == ("troupe-products-2-en", "troupe-state")
    assert (second.products, second.state) == ("second-troupe-products-2-en", "second-troupe-state")
