"""Three hundred simulated lives of the whole shop: each must keep the runtime's promises and the shop's invariants."""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.run import Report, run_seed, shrink

SEEDS = 300
CHUNK = 20
JOBS = 2

Chunks = dict[int, "Future[list[Report]]"]


def run_chunk(first: int) -> list[Report]:
    return [run_seed(seed) for seed in range(first, first + CHUNK)]


@pytest.fixture(scope="module")
def chunks() -> Iterator[Chunks]:
    """All chunks, on their way."""
    # A fresh process each: nothing of this one (threads, loggers) comes along.
    with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as pool:
        yield {first: pool.submit(run_chunk, first) for first in range(0, SEEDS, CHUNK)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seeds_keep_every_promise(chunks: Chunks, first: int) -> None:
    reports = chunks[first].result(timeout=280)
    assert [report.plan.seed for report in reports] == list(range(first, first + CHUNK))
    failed = [report for report in reports if not report.passed]
    assert not failed, f"{failed[0]}\n\nshorter:\n{shrink(failed[0].plan.seed).plan}"
    # A life in which nobody bought anything shows nothing.
    assert all(report.orders and report.answers for report in reports)


@pytest.mark.parametrize(("seed", "servers"), [(13, False), (14, True)])
def test_a_seed_is_reproducible(chunks: Chunks, seed: int, servers: bool) -> None:
    again = run_seed(seed)
    assert again.plan.servers == servers
    assert again.digest == chunks[0].result(timeout=280)[seed].digest
    assert again.digest != chunks[0].result(timeout=280)[seed + 1].digest
