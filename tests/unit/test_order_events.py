"""An order's steps as server-sent events: each once, to the end, also for a reader who comes back or leaves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from actors.order import OrderView, RefundRow, Step
from actors.runtime.ports import Answer, Entities, Overloaded
from serve.gateway.lean import Event
from serve.orders.following import is_final, last_seen, steps


class Script:
    """An order that goes on when the test says so; `troubles` are raised first."""

    def __init__(self) -> None:
        self.answer = Answer(OrderView("o1", "placed", "none", history=(Step(1, "placed"),)), 1)
        self.troubles: list[Exception] = []
        self.watching = 0
        self.watched = asyncio.Event()
        self._changed = asyncio.Event()

    def go_on(self, status: Any, step: str) -> None:
        view = self.answer.reply
        assert isinstance(view, OrderView)
        history = (*view.history, Step(len(view.history) + 1, step))
        self.answer = Answer(OrderView("o1", status, "none", history=history), self.answer.version + 1)
        self._changed.set()

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        if self.troubles:
            raise self.troubles.pop()
        self.watching += 1
        self.watched.set()
        try:
            async with asyncio.timeout(seconds):
                while self.answer.version <= (beyond or 0):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self.watching -= 1
        return self.answer


def follow(script: Script, seen: int = 0, **more: float) -> AsyncGenerator[Event | None, None]:
    view = script.answer.reply
    assert isinstance(view, OrderView)
    source: AsyncIterator[Event | None] = steps(cast(Entities, script), view, script.answer.version, seen, **more)
    return cast(AsyncGenerator[Event | None, None], source)


async def next_event(source: AsyncGenerator[Event | None, None]) -> Event:
    async with asyncio.timeout(5):
        async for event in source:
            if event is not None:
                return event
    raise AssertionError("the stream has ended")


async def test_each_step_once_and_then_the_end() -> None:
    script = Script()
    async with aclosing(follow(script, heartbeat=5.0)) as source:
        first = await next_event(source)
        told = {"at": 1, "step": "placed", "who": "customer", "text": "order.step.placed", "about": ""}
        assert first == Event("step", {**told, "status": "placed", "payment_status": "none", "version": 1}, "1")
        script.go_on("reserved", "reserved")
        script.go_on("cancelled", "cancelled")
        assert [(await next_event(source)).id for _ in range(2)] == ["2", "3"]
        end = await next_event(source)
        assert end == Event("end", {"status": "cancelled", "payment_status": "none"})
        with pytest.raises(StopAsyncIteration):
            await anext(source)


async def test_a_reader_who_comes_back_gets_only_what_is_new() -> None:
    script = Script()
    script.go_on("reserved", "reserved")
    script.go_on("cancelled", "cancelled")
    assert [event.id async for event in follow(script, seen=2) if event is not None] == ["3", None]
    assert [event.id async for event in follow(script, seen=99) if event is not None] == [None]


async def test_a_heartbeat_while_nothing_happens_and_a_trouble_waited_out() -> None:
    script = Script()
    script.troubles = [Overloaded(1.0), TimeoutError()]
    async with aclosing(follow(script, seen=1, heartbeat=0.01)) as source:
        assert [await anext(source) for _ in range(5)] == [None] * 5
        script.go_on("delivered", "delivered")
        assert (await next_event(source)).id == "2"


async def test_a_stream_does_not_last_for_ever() -> None:
    assert [event async for event in follow(Script(), seen=1, longest=0.0)] == []


async def test_a_reader_who_leaves_stops_the_watch() -> None:
    script = Script()
    source = follow(script, seen=1, heartbeat=60.0)

    async def read() -> list[Event | None]:
        return [event async for event in source]

    reading = asyncio.create_task(read())
    async with asyncio.timeout(5):
        await script.watched.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert script.watching == 0


def test_when_nothing_more_will_happen() -> None:
    refunding = (RefundRow("r1", 1, "requested"),)
    assert not is_final(OrderView("o1", "confirmed", "paid"))
    assert not is_final(OrderView("o1", "cancelled", "paid", refunds=refunding))
    assert is_final(OrderView("o1", "cancelled", "none"))
    assert is_final(OrderView("o1", "rejected", "none"))
    assert is_final(OrderView("o1", "delivered", "paid"))


@pytest.mark.parametrize(("header", "expected"), [(None, 0), ("3", 3), ("-1", 0), ("x", 0), ("٣", 0), ("9" * 10, 0)])
def test_last_event_id(header: str | None, expected: int) -> None:
    assert last_seen(header) == expected
