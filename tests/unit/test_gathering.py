"""What waits is dealt with together, and one caller's trouble is no other's."""

import asyncio

import pytest

from pipelines.gathering import Gathering


class Desk:
    """Doubles numbers, not -1; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.closed = False

    async def deal(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        self.began.set()
        await self.go.wait()
        if self.closed:
            raise OSError("closed")
        return [ValueError(item) if item < 0 else 2 * item for item in items]


async def test_what_comes_meanwhile_goes_together_and_errors_stay_with_their_callers() -> None:
    desk = Desk()
    gathering = Gathering(desk.deal, most=3)
    first = asyncio.create_task(gathering.add(1))
    await desk.began.wait()
    others = asyncio.gather(*(gathering.add(n) for n in (2, -1, 3, 4)), return_exceptions=True)
    await asyncio.sleep(0)
    desk.go.set()
    results = await others
    assert (await first, results[:1], results[2:]) == (2, [4], [6, 8])
    assert isinstance(results[1], ValueError)
    assert desk.batches == [[1], [2, -1, 3], [4]]


async def test_a_failure_is_everybodys_and_the_next_ones_go_on() -> None:
    desk = Desk()
    desk.go.set()
    desk.closed = True
    gathering = Gathering(desk.deal, most=9)
    results = await asyncio.gather(gathering.add(1), gathering.add(2), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    desk.closed = False
    assert await gathering.add(3) == 6


async def test_who_goes_away_stalls_nobody_and_closing_waits() -> None:
    desk = Desk()
    gathering = Gathering(desk.deal, most=9)
    gone, stays = (asyncio.create_task(gathering.add(n)) for n in (1, 2))
    await desk.began.wait()
    gone.cancel()
    desk.go.set()
    await gathering.close()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_what_was_not_begun_for_who_went_away_is_not_done() -> None:
    desk = Desk()
    gathering = Gathering(desk.deal, most=9)
    first, gone, stays = (asyncio.create_task(gathering.add(n)) for n in (1, 2, 3))
    await desk.began.wait()
    late = asyncio.create_task(gathering.add(4))
    await asyncio.sleep(0)
    late.cancel()
    gone.cancel()
    desk.go.set()
    assert (await first, await stays) == (2, 6)
    await gathering.close()
    assert desk.batches == [[1, 2, 3]]
