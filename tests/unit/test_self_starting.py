"""What begins with its process, and is tried until it has begun."""

import asyncio

import pytest

from serve import self_starting
from serve.opened import Opened
from serve.self_starting import SelfStarting


class Thing:
    """Opened by each try; the first `failing` of them fail behind it."""

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing
        self.events: list[str] = []

    async def close(self) -> None:
        self.events.append("closed")

    async def begin(self, opened: Opened) -> None:
        self.events.append("opened")
        opened.closing(self)
        if self.failing:
            self.failing -= 1
            raise ConnectionError("away on purpose")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_starting, "FIRST_PAUSE", 0.001)


async def _happened(thing: Thing, count: int) -> None:
    async with asyncio.timeout(5):
        while len(thing.events) < count:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)


async def test_nobody_need_ask_it_to_begin() -> None:
    thing = Thing()
    work = SelfStarting("thing", thing.begin)
    await _happened(thing, 1)
    await work.stop()
    assert thing.events == ["opened", "closed"]


async def test_it_is_tried_until_it_has_begun() -> None:
    thing = Thing(failing=2)
    work = SelfStarting("thing", thing.begin)
    with pytest.raises(ConnectionError):
        await work.begun()
    await _happened(thing, 5)
    assert thing.events == ["opened", "closed", "opened", "closed", "opened"]
    await work.stop()
    assert thing.events[5:] == ["closed"]


async def test_stopping_ends_the_tries() -> None:
    thing = Thing(failing=10_000)
    work = SelfStarting("thing", thing.begin)
    with pytest.raises(ConnectionError):
        await work.begun()
    await work.stop()
    tries = len(thing.events)
    await asyncio.sleep(0.01)
    assert len(thing.events) == tries
