"""What a failing seed says, and how it is made shorter."""

from collections.abc import Iterator

import pytest

from tests.simulation import run
from tests.simulation.plan import FAULTS, ON_SERVERS, plan_of

FAILING = 11


def planted(entities: object, shop: object, intents: object) -> Iterator[str]:
    yield "a planted violation"


def test_a_failing_seed_is_told_and_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "check_shop", planted)
    report = run.shrink(FAILING)
    assert not report.passed
    assert report.violations == ("a planted violation",)
    assert report.plan.faults == ()
    assert not report.plan.servers
    assert report.plan.shoppers == 1
    assert report.plan.seconds <= 4
    lines = str(report).splitlines()
    assert lines[0].startswith(f"seed {FAILING}: ")
    assert lines[1] == "  violated: a planted violation"
    assert lines[-1].endswith("VIOLATED: a planted violation")


def test_a_seed_that_holds_is_not_shortened() -> None:
    report = run.shrink(0)
    assert report.passed
    assert report.plan == plan_of(0)


def test_every_fault_comes_in_some_seed_and_none_in_some() -> None:
    plans = [plan_of(seed) for seed in range(100)]
    assert {fault for plan in plans for fault in plan.faults} == {*FAULTS, *ON_SERVERS}
    assert sum(not plan.faults for plan in plans) >= 10


def test_half_of_the_seeds_are_on_servers_and_only_they_have_what_goes_wrong_there() -> None:
    plans = [plan_of(seed) for seed in range(200)]
    assert 80 <= sum(plan.servers for plan in plans) <= 120
    assert not any(set(plan.faults) & set(ON_SERVERS) for plan in plans if not plan.servers)
