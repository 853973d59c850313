"""What /metrics tells of others than the replica itself: the hosts of the entities, and how far the flows have come.

They are asked when somebody looks. Who does not answer in time is shown as down, and is not asked a second time while
the first question is still under way, so that no number of looks piles anything up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from pipelines.log.base import EventLog
from pipelines.progress import Standing
from serve.gateway.clock import now_ms
from serve.hosts import UP, HostBody

T = TypeVar("T")

log = logging.getLogger("troupe.metrics")

SECONDS = 1.0
"""How long a look may take."""
AT_ONCE = 100
"""Places of the log that are read to find the first event."""

HOST_GAUGES = (
    ("shards", "Shards that the host has."),
    ("entities", "Entities in the host's memory."),
    ("open", "Messages, effects and timers under way."),
    ("parked", "Messages that were not delivered for 80 days."),
    ("backlog", "Decisions that wait for a commit."),
)
HOST_COUNTERS = (
    ("batches", "Commits of the host's process."),
    ("records", "Records that went with the commits of the host's process."),
)


class Hosts(NamedTuple):
    """How to learn which hosts there shall be, and of one how it is."""

    names: Callable[[], Coroutine[Any, Any, list[str]]]
    look_at: Callable[[str], Coroutine[Any, Any, HostBody]]


class Closes(Protocol):
    async def close(self) -> None: ...


class Standings(Protocol):
    async def standings(self) -> list[Standing]: ...


class Behind(NamedTuple):
    """`records`: places in the log up to its end, 0 if no event is among them. `seconds`: age of the first event."""

    flow: str
    records: int
    seconds: float
    letters: int


class Flows:
    """How far flows are behind the log, by what they have saved: that is up to a second old.

    `reads`: which flows read this log; others have positions in logs of their own.
    """

    def __init__(
        self,
        progress: Standings,
        log: EventLog,
        end: Callable[[], Awaitable[int]],
        now: Callable[[], int] = now_ms,
        reads: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._progress = progress
        self._log = log
        self._end = end
        self._now = now
        self._reads = reads
        self._quiet = (0, 0)  # no event stands between these two positions

    async def look(self) -> list[Behind]:
        end = await self._end()
        standings = [one for one in await self._progress.standings() if self._reads(one.flow)]
        firsts = {position: await self._first(position, end) for position in {one.position for one in standings}}
        now = self._now()
        return [
            Behind(one.flow, 0, 0.0, one.letters)
            if (at := firsts[one.position]) is None
            else Behind(one.flow, max(1, end - one.position), max(0.0, (now - at) / 1000), one.letters)
            for one in standings
        ]

    async def _first(self, position: int, end: int) -> int | None:
        """When the first event behind a position happened. What is no event is passed over once, not at each look."""
        known = self._quiet[1] if position == self._quiet[0] else position
        found = await self._log.read(known, AT_ONCE)
        if not found:
            self._quiet = (position, max(known, end))
            return None
        return found[0].at


class Measures:
    """Call it for the metrics as they are now. `close` ends what is still asked, and closes what it had `opened`."""

    def __init__(
        self,
        hosts: Hosts,
        flows: Callable[[], Coroutine[Any, Any, list[Behind]]],
        opened: Sequence[Closes] = (),
        seconds: float = SECONDS,
    ) -> None:
        self._hosts = hosts
        self._flows = flows
        self._opened = opened
        self._seconds = seconds
        self._names: list[str] = []
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def __call__(self) -> Sequence[Metric]:
        """Takes `seconds` at most, and raises nothing."""
        flows = self._ask("flows", self._flows)
        names = self._ask("names of hosts", self._hosts.names)
        await asyncio.wait([names], timeout=self._seconds / 2)
        if (told := _told(names)) is not None:
            self._names = told
        looks = {name: self._ask(name, partial(self._hosts.look_at, name)) for name in self._names}
        await asyncio.wait([flows, *looks.values()], timeout=self._seconds / 2)
        hosts = [_told(look) or HostBody(name, "no answer") for name, look in looks.items()]
        return [*_of_hosts(hosts, placed=told is not None), *_of_flows(_told(flows))]

    async def close(self) -> None:
        for task in self._asked.values():
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked.values())
        self._asked.clear()
        for one in self._opened:
            await one.close()

    def _ask(self, name: str, question: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T | None]:
        """Joins a question that is still under way."""
        asked = self._asked.get(name)
        if asked is None or asked.done():
            asked = self._asked[name] = asyncio.create_task(_answer(name, question), name=f"measure {name}")
        return asked


async def _answer(name: str, question: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    try:
        return await question()
    except Exception as error:
        log.warning("no metrics of the %s: %r", name, error)
        return None


def _told(asked: asyncio.Task[T | None]) -> T | None:
    """None if there is no answer, or not yet."""
    return asked.result() if asked.done() and not asked.cancelled() else None


def _of_hosts(hosts: Sequence[HostBody], *, placed: bool) -> list[Metric]:
    placement = GaugeMetricFamily("troupe_placement_up", "Whether the placement of shards answered.", value=placed)
    up = GaugeMetricFamily("troupe_host_up", "Whether the host answered.", labels=["host"])
    for host in hosts:
        up.add_metric([host.name], host.state == UP)
    stuck = GaugeMetricFamily("troupe_host_stuck", "Messages whose receivers cannot decide on them.", labels=["host"])
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for name, text in HOST_GAUGES:
        families[name] = GaugeMetricFamily(f"troupe_host_{name}", text, labels=["host"])
    for name, text in HOST_COUNTERS:
        families[name] = CounterMetricFamily(f"troupe_host_{name}", text, labels=["host"])
    for host in hosts:
        if host.state == UP:
            stuck.add_metric([host.name], len(host.stuck))
            for name, family in families.items():
                family.add_metric([host.name], getattr(host, name))
    return [placement, up, stuck, *families.values()]


def _of_flows(flows: Sequence[Behind] | None) -> list[Metric]:
    known = GaugeMetricFamily(
        "troupe_flows_up", "Whether how far the flows have come could be read.", value=flows is not None
    )
    behind = GaugeMetricFamily(
        "troupe_flow_behind_records", "Places in the log behind the flow, 0 if no event is among them.", labels=["flow"]
    )
    seconds = GaugeMetricFamily(
        "troupe_flow_behind_seconds", "Age of the first event that the flow is not done with.", labels=["flow"]
    )
    letters = GaugeMetricFamily("troupe_flow_letters", "Dead letters that wait for another try.", labels=["flow"])
    for one in flows or ():
        behind.add_metric([one.flow], one.records)
        seconds.add_metric([one.flow], one.seconds)
        letters.add_metric([one.flow], one.letters)
    return [known, behind, seconds, letters]
