"""Hurts a server under a load of shoppers, and finds out what became of them and of the shop."""

import asyncio
import os
import statistics
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from tests.crowds import until
from tests.servers import table
from tests.servers.faults import Fault
from tests.servers.load import FINE, REFUSED, Load, Seen, counted, goods, longest
from tests.servers.stage import Stage
from tests.servers.verdict import judge

BEFORE = 60
"""So many answers there are before the blow, the last of them with no refusal."""
SEARCHES = 5
"""So many of the last searches too: an Elasticsearch that was just started is slow at first."""
LONGEST = 30.0
"""Every answer comes within this, in seconds, whatever happens."""
EXAMPLES = 3


def survives(fault: Fault, on: Callable[[Fault], Stage], capsys: pytest.CaptureFixture[str]) -> None:
    """`on` makes the stage, if it is needed: a row that there is already is not made again."""
    rows = table.place()
    if rows is not None and table.has(fault.name, rows):
        pytest.skip("the file has its row")
    try:
        stage = on(fault)
        stage.need(fault.server)
    except pytest.skip.Exception as reason:
        table.not_run(fault.name, str(reason), rows)
        raise
    stage.run_with(fault.settings)
    try:
        row, wrong = asyncio.run(_row(stage, fault))
    except (Exception, pytest.fail.Exception) as error:  # the latter: the time that a test may take is over
        table.not_run(fault.name, f"it broke off: {error!r}", rows)
        # Python 3.11 cannot always take such a deep one apart, as pytest would.
        pytest.fail(traceback.format_exc(), pytrace=False)
    with capsys.disabled():
        told = (row["answers"], row["longest"], row["normal_after"], row["settled_after"])
        print(f"\n  {fault.name}:", *told)  # noqa: T201
    if rows is not None:
        table.add(table.here() | row | {"failed": wrong}, rows)
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


async def _row(stage: Stage, fault: Fault) -> tuple[dict[str, Any], list[str]]:
    products = await asyncio.to_thread(goods, stage.shop)
    async with Load(stage.url, products) as load:
        load.start()
        await until(lambda: _all_is_well(load.seen))
        began = time.monotonic()
        hurt = fault.hurt(stage)
        await asyncio.to_thread(hurt.__enter__)
        await asyncio.sleep(fault.seconds)
        healing = time.monotonic()
        await asyncio.to_thread(hurt.__exit__, None, None, None)
        healed = time.monotonic()
        wrong: list[str] = []
        try:
            normal = await load.normal(fault.normal_within)
        except AssertionError as error:
            wrong.append(str(error))
            normal = time.monotonic() - healed
        loaded = round(os.getloadavg()[0], 1)
        await load.stop()
        verdict = await judge(stage.shop, load, products, fault.ends, stage.stripe)
    during = [one for one in load.seen if one.at + one.seconds >= began and one.at <= healed + normal]
    wrong += _not_as_told(fault, during, began, healing)
    for sort, found in (("lost", verdict.lost), ("twice", verdict.twice), ("hanging", verdict.hanging)):
        wrong += [f"{sort}: {one}" for one in found[:EXAMPLES]]
    row = {
        "fault": fault.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "lasted": round(healed - began, 1),
        "answers": counted(one.told for one in during),
        "refused": counted(one.what for one in during if one.told == REFUSED),
        "median": round(statistics.median(one.seconds for one in during), 2),
        "longest": longest(during),
        "went_on": sorted(fault.goes_on),
        "normal_after": round(normal, 1),
        "settled_after": verdict.settled_after,
        "lost": len(verdict.lost),
        "twice": len(verdict.twice),
        "hanging": len(verdict.hanging),
        "bought": len(load.bought),
        "load": loaded,
    }
    return row, wrong


def _all_is_well(seen: list[Seen]) -> bool:
    searches = [one for one in seen if one.what == "search"]
    lately = [*seen[-BEFORE:], *searches[-SEARCHES:]]
    return len(seen) >= BEFORE and len(searches) >= SEARCHES and all(one.told in FINE for one in lately)


def _not_as_told(fault: Fault, during: list[Seen], began: float, healing: float) -> list[str]:
    """Answers that no page documents, that came too late, or were refused though nothing stood in their way."""
    odd = {one.told for one in during if one.told not in (*FINE, REFUSED)}
    if fault.cuts:
        odd = {told for told in odd if told[:3].isdigit() and not told.startswith("503")}
    wrong = [f"somebody was told {told}" for told in sorted(odd)]
    wrong += [f"{one.what} took {one.seconds:.1f} s" for one in during if one.seconds > LONGEST][:EXAMPLES]
    within = [one for one in during if began <= one.at <= healing and one.what in fault.goes_on]
    refused = [one for one in within if one.told not in FINE]
    return wrong + [
        f"{one.what} was refused {one.at - began:.1f} s after the blow: {one.told}" for one in refused[:EXAMPLES]
    ]
