"""What every event log must do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.runtime.wire import encode
from pipelines.events.users import UserDeleted, UserProfileChanged
from pipelines.log.base import Happened
from tests.contract.event_logs import ADAPTERS, AT, NEED_SERVERS, Given

ONE, TWO = UserProfileChanged(("name",), AT), UserDeleted(AT)
ALL = [pytest.param(name, marks=[pytest.mark.servers] if name in NEED_SERVERS else []) for name in ADAPTERS]


@pytest.fixture(params=ALL)
async def given(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Given]:
    async with ADAPTERS[request.param](tmp_path) as made:
        yield made


async def read_all(given: Given, count: int, after: int = 0, limit: int = 100) -> list[Happened]:
    """The next `count` events, read as a flow reads them."""
    found: list[Happened] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            events = await given.log.read(after, limit)
            found += events
            if events:
                after = events[-1].position
            else:
                await given.log.wait(after, 0.5)
    return found


async def test_nothing_is_there_before_anything_happens(given: Given) -> None:
    assert await given.log.read(0, 10) == []


async def test_events_come_as_they_were_in_their_order(given: Given) -> None:
    await given.write("a", 1, ONE, TWO)
    await given.write("b", 1, ONE)
    await given.write("a", 2, TWO)
    found = await read_all(given, 4)
    assert [(one.kind, one.entity, one.version, one.index, one.at, one.event) for one in found] == [
        ("user", "a", 1, 0, AT, encode(ONE)),
        ("user", "a", 1, 1, AT, encode(TWO)),
        ("user", "b", 1, 0, AT, encode(ONE)),
        ("user", "a", 2, 0, AT, encode(TWO)),
    ]
    positions = [one.position for one in found]
    assert positions == sorted(positions)
    assert positions[0] > 0


async def test_every_place_can_be_read_from_again(given: Given) -> None:
    for version in range(1, 8):
        await given.write("a", version, ONE)
    found = await read_all(given, 7)
    for n, one in enumerate(found):
        assert await read_all(given, 6 - n, one.position) == found[n + 1 :]
    assert await read_all(given, 7) == found
    assert await given.log.read(found[-1].position, 10) == []


async def test_an_empty_answer_means_that_nothing_is_there(given: Given) -> None:
    """Whoever builds something anew takes it for the end, at the first read as well."""
    for version in range(20):
        await given.write("a", version, *[ONE] * 60)
    for _ in range(2):
        found: list[Happened] = []
        while events := await given.log.read(found[-1].position if found else 0, 100):
            found += events
        assert [(one.version, one.index) for one in found] == [(v, n) for v in range(20) for n in range(60)]


async def test_no_more_are_read_than_asked_for(given: Given) -> None:
    for version in range(1, 8):
        await given.write("a", version, ONE)
    await read_all(given, 7)
    first = await read_all(given, 1, limit=3)
    assert [one.version for one in first] == [1, 2, 3]
    assert [one.version for one in await read_all(given, 1, first[-1].position, 3)] == [4, 5, 6]


async def test_a_wait_ends_when_something_happens(given: Given) -> None:
    await given.write("a", 1, ONE)
    (first,) = await read_all(given, 1)
    waiting = asyncio.create_task(given.log.wait(first.position, 30.0))
    await given.write("a", 2, TWO)
    await asyncio.wait_for(waiting, 20.0)
    (second,) = await read_all(given, 1, first.position)
    assert second.version == 2


async def test_a_wait_ends_by_itself(given: Given) -> None:
    await given.write("a", 1, ONE)
    (first,) = await read_all(given, 1)
    await asyncio.wait_for(given.log.wait(first.position, 0.05), 20.0)
    assert await given.log.read(first.position, 10) == []


async def test_a_wait_that_was_given_up_takes_nothing_away(given: Given) -> None:
    await given.write("a", 1, ONE)
    (first,) = await read_all(given, 1)
    waiting = asyncio.create_task(given.log.wait(first.position, 30.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await given.write("a", 2, TWO)
    assert [one.version for one in await read_all(given, 1, first.position)] == [2]
