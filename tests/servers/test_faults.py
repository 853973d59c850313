"""Each server is killed, cut off and slowed down under a load of shoppers."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.crowds import until
from tests.servers import table
from tests.servers.faults import FAULTS, Fault
from tests.servers.load import FINE, Load, Seen, answers, goods, longest
from tests.servers.stage import SERVERS, Stage, on_stage
from tests.servers.verdict import judge

pytestmark = [pytest.mark.timeout(600)]

BEFORE = 60
"""So many answers there are before the blow."""
LONGEST = 30.0
"""Every answer comes within this, in seconds, whatever happens."""
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_stage() as found:
        yield found


@pytest.fixture(scope="module")
def products(stage: Stage) -> list[str]:
    return goods(stage.shop)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")  # noqa: T201

    return tell


def _marked(fault: Fault) -> Any:
    marks = [pytest.mark.faults, *([pytest.mark.servers] if fault.quick else [])]
    return pytest.param(fault, id=fault.name, marks=marks)


@pytest.mark.parametrize("fault", [_marked(one) for one in FAULTS if one.server in ("", *SERVERS)])
def test_nothing_is_lost_or_done_twice(fault: Fault, request: pytest.FixtureRequest, say: Say) -> None:
    rows = table.place()
    if rows is not None and table.has(fault.name, rows):
        pytest.skip("the file has its row")
    stage, products = request.getfixturevalue("stage"), request.getfixturevalue("products")
    stage.need(fault.server)
    row, wrong = asyncio.run(_row(stage, products, fault))
    say(f"{fault.name}: {row['answers']}, longest {row['longest']}; {row['normal_after']} s; {row['settled_after']} s")
    if rows is not None:
        table.add(table.here() | row | {"failed": wrong}, rows)
    assert not wrong


async def _row(stage: Stage, products: list[str], fault: Fault) -> tuple[dict[str, Any], list[str]]:
    async with Load(stage.shop, products) as load:
        load.start()
        await until(lambda: len(load.seen) >= BEFORE)
        began = time.monotonic()
        hurt = fault.hurt(stage)
        await asyncio.to_thread(hurt.__enter__)
        await asyncio.sleep(fault.seconds)
        healing = time.monotonic()
        await asyncio.to_thread(hurt.__exit__, None, None, None)
        healed = time.monotonic()
        wrong: list[str] = []
        try:
            normal = await load.normal()
        except AssertionError as error:
            wrong.append(str(error))
            normal = time.monotonic() - healed
        await load.stop()
        verdict = await judge(stage.shop, load, products)
    during = [one for one in load.seen if one.at + one.seconds >= began and one.at <= healed + normal]
    wrong += _not_as_told(fault, during, began, healing)
    for sort, found in (("lost", verdict.lost), ("twice", verdict.twice), ("hanging", verdict.hanging)):
        wrong += [f"{sort}: {one}" for one in found[:3]]
    row = {
        "fault": fault.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "lasted": round(healed - began, 1),
        "answers": answers(during),
        "longest": longest(during),
        "went_on": sorted(fault.goes_on),
        "normal_after": round(normal, 1),
        "settled_after": verdict.settled_after,
        "lost": len(verdict.lost),
        "twice": len(verdict.twice),
        "hanging": len(verdict.hanging),
        "bought": len(load.bought),
    }
    return row, wrong


def _not_as_told(fault: Fault, during: list[Seen], began: float, healing: float) -> list[str]:
    """Answers that no page documents, that came too late, or were refused though nothing stood in their way."""
    odd = {one.told for one in during if one.told not in (*FINE, "503")}
    if fault.name.startswith("a replica"):
        odd = {told for told in odd if told[:3].isdigit() and not told.startswith("503")}
    wrong = [f"somebody was told {told}" for told in sorted(odd)]
    wrong += [f"{one.what} took {one.seconds:.1f} s" for one in during if one.seconds > LONGEST][:3]
    within = [one for one in during if began <= one.at <= healing and one.what in fault.goes_on]
    refused = [one for one in within if one.told not in FINE]
    return wrong + [f"{one.what} was refused {one.at - began:.1f} s after the blow: {one.told}" for one in refused[:3]]
