"""What /metrics tells of hosts and flows, and that it always tells it soon."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from actors.journal.sql import SqlJournal
from actors.runtime.status import status
from pipelines.log.base import Happened
from pipelines.progress import DeadLetter, SqlProgress
from serve.gateway.front import Front
from serve.hosts import HostBody, body
from serve.measures import Behind, Flows, Hosts, Measures
from tests.contract.test_journal import record
from tests.unit.flow_world import MemoryLog
from tests.unit.stage import Stage
from tests.unit.test_flow import Ticked

DEADLINE = 10.0
NOW = 100_000


class Troupe:
    """Hosts that answer, hang or fail."""

    def __init__(self) -> None:
        self.up = {"host-0": HostBody("host-0", "up", 7, 64, 12, 3, 1, ["order/o"], 5, 40, 90)}
        self.hanging: set[str] = set()
        self.lost = False
        self.placed = asyncio.Event()
        self.placed.set()
        self.asked: list[str] = []

    async def names(self) -> list[str]:
        await self.placed.wait()
        if self.lost:
            raise ConnectionError("no placement")
        return sorted({*self.up, *self.hanging} - {"flows"})

    async def look_at(self, name: str) -> HostBody:
        self.asked.append(name)
        if name in self.hanging:
            await asyncio.Event().wait()
        return self.up[name]

    async def flows(self) -> list[Behind]:
        if "flows" in self.hanging:
            await asyncio.Event().wait()
        return [Behind("settle_orders", 4, 1.5, 2), Behind("open_payments", 0, 0.0, 0)]


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
async def measures(troupe: Troupe) -> AsyncIterator[Measures]:
    made = Measures(Hosts(troupe.names, troupe.look_at), troupe.flows, seconds=0.1)
    yield made
    await made.close()


async def scraped(measures: Measures) -> dict[str, float]:
    """The samples of ours that are not the front's own, by name and label."""
    front = Front(FastAPI(), measured=measures)
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http,
    ):
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name.startswith(("troupe_host_", "troupe_placement", "troupe_flows_")) or (
                sample.name in ("troupe_flow_behind_records", "troupe_flow_behind_seconds", "troupe_flow_letters")
            ):
                found[" ".join((sample.name, *sample.labels.values()))] = sample.value
    return found


HOST_0 = {
    "troupe_placement_up": 1,
    "troupe_host_up host-0": 1,
    "troupe_host_shards host-0": 64,
    "troupe_host_entities host-0": 12,
    "troupe_host_open host-0": 3,
    "troupe_host_parked host-0": 1,
    "troupe_host_stuck host-0": 1,
    "troupe_host_backlog host-0": 5,
    "troupe_host_batches_total host-0": 40,
    "troupe_host_records_total host-0": 90,
}
FLOWS = {
    "troupe_flows_up": 1,
    "troupe_flow_behind_records settle_orders": 4,
    "troupe_flow_behind_seconds settle_orders": 1.5,
    "troupe_flow_letters settle_orders": 2,
    "troupe_flow_behind_records open_payments": 0,
    "troupe_flow_behind_seconds open_payments": 0,
    "troupe_flow_letters open_payments": 0,
}


async def test_hosts_and_flows_are_told(measures: Measures) -> None:
    assert await scraped(measures) == {**HOST_0, **FLOWS}


async def test_what_hangs_is_down_and_is_asked_once(troupe: Troupe, measures: Measures) -> None:
    troupe.hanging = {"host-1", "flows"}
    for _ in range(3):
        assert await scraped(measures) == {**HOST_0, "troupe_host_up host-1": 0, "troupe_flows_up": 0}
    assert troupe.asked.count("host-1") == 1
    assert troupe.asked.count("host-0") == 3


async def test_hosts_are_remembered_while_the_placement_is_away(troupe: Troupe, measures: Measures) -> None:
    await scraped(measures)
    troupe.lost = True
    assert await scraped(measures) == {**HOST_0, **FLOWS, "troupe_placement_up": 0}
    troupe.lost = False
    troupe.placed.clear()
    assert await scraped(measures) == {**HOST_0, **FLOWS, "troupe_placement_up": 0}
    troupe.placed.set()
    assert await scraped(measures) == {**HOST_0, **FLOWS}


async def test_a_host_tells_what_it_has(stage: Stage) -> None:
    host = await stage.start("one")
    told = body(status([host]))
    assert (told.name, told.state, told.shards, told.entities, told.backlog) == ("one", "up", 4, 0, 0)
    assert (told.batches, told.records) == (host.committer.batches, host.committer.records)


class TestFlows:
    @pytest.fixture
    async def progress(self, tmp_path: Path) -> AsyncIterator[SqlProgress]:
        made = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
        yield made
        await made.close()

    async def test_how_far_they_are_behind(self, progress: SqlProgress) -> None:
        log = MemoryLog()
        first, second = (log.append("clock", "a", version, Ticked(version), at=NOW - 2_000) for version in (1, 2))

        async def end() -> int:
            return second + 5

        await progress.save("slow", first, ())
        await progress.save("swift", second, ())
        await progress.bury("broken", DeadLetter(Happened(first, "clock", "a", 1, 0, 0, b""), "x", 0))
        assert await Flows(progress, log, end, lambda: NOW).look() == [
            Behind("broken", second + 5, 2.0, 1),
            Behind("slow", second + 5 - first, 2.0, 0),
            Behind("swift", 0, 0.0, 0),
        ]

    async def test_what_is_no_event_leaves_nobody_behind_and_is_read_once(self, progress: SqlProgress) -> None:
        log = MemoryLog()
        last = log.append("clock", "a", 1, Ticked(1))
        await progress.save("flow", last, ())
        asked: list[int] = []

        class Noted(MemoryLog):
            async def read(self, after: int, limit: int) -> list[Happened]:
                asked.append(after)
                return await log.read(after, limit)

        async def end() -> int:
            return last + 300

        flows = Flows(progress, Noted(), end, lambda: NOW)
        for _ in range(2):
            assert await flows.look() == [Behind("flow", 0, 0.0, 0)]
        assert asked == [last, last + 300]
        log.events.append(Happened(last + 301, "clock", "a", 2, 0, NOW - 500, b""))
        (behind,) = await flows.look()
        assert (behind.records, behind.seconds) == (300, 0.5)

    async def test_the_end_of_a_journal(self, tmp_path: Path) -> None:
        journal = SqlJournal(str(tmp_path / "journal.db"))
        await journal.setup()
        assert await journal.end() == 0
        await journal.write([record(1), record(2)])
        assert await journal.end() == 2
        await journal.close()
