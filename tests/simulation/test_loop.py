"""The loop itself: time that jumps, processes that die or stall, and what it says when nothing can happen any more."""

import asyncio
from itertools import count
from random import Random

import pytest

from tests.simulation.loop import Deadlock, Livelock, Process, VirtualLoop


def test_time_jumps_to_the_next_timer() -> None:
    loop = VirtualLoop()

    async def main() -> list[float]:
        times = []
        for seconds in (3_600.0, 0.5):
            await asyncio.sleep(seconds)
            times.append(loop.time())
        return times

    assert loop.run(main()) == [3_600.0, 3_600.5]


def test_a_wait_without_end_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="1 tasks wait: main"):
        VirtualLoop().run(main())


def test_a_loop_that_never_lets_time_pass_is_an_error() -> None:
    async def main() -> None:
        for _ in count():
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"at 0\.000"):
        VirtualLoop().run(main())


def test_a_dead_process_runs_no_more_not_even_its_end() -> None:
    loop = VirtualLoop()
    process = Process("victim")
    done: list[str] = []

    async def work() -> None:
        try:
            done.append("begun")
            await asyncio.sleep(1)
            done.append("ended")
        finally:
            if not loop.is_closed():
                done.append("tidied up")

    async def main() -> None:
        loop.spawn(process, work(), "work")
        await asyncio.sleep(0.5)
        process.dead = True
        await asyncio.sleep(5)

    loop.run(main())
    assert done == ["begun"]


def test_a_stalled_process_goes_on_where_it_was() -> None:
    loop = VirtualLoop()
    process = Process("sleeper")
    done: list[float] = []

    async def child() -> None:
        done.append(loop.time())

    async def work() -> None:
        await asyncio.sleep(1)
        await asyncio.create_task(child())

    async def main() -> None:
        loop.spawn(process, work(), "work")
        process.stalled = True
        await asyncio.sleep(10)
        assert done == []
        loop.resume(process)
        await asyncio.sleep(2)

    loop.run(main())
    assert done == [11.0]


def test_what_nobody_catches_is_kept() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    loop.run(main())
    assert len(loop.errors) == 1
    assert "ZeroDivisionError" in loop.errors[0]


def test_a_shuffled_order_is_the_same_for_the_same_seed() -> None:
    def order(seed: int) -> list[int]:
        loop = VirtualLoop(Random(seed))
        done: list[int] = []

        async def main() -> None:
            for number in range(20):
                loop.call_soon(done.append, number)
            await asyncio.sleep(1)

        loop.run(main())
        return done

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(20))
