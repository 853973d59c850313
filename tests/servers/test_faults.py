"""Whatever a shop stands on is killed, cut off, filled or slowed down under a load of shoppers."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers.faults import AT_THE_DOOR, FAULTS, OF_CLUSTERS, OF_DISKS, OF_STRIPE, Fault, Staging
from tests.servers.stage import Stage
from tests.servers.surviving import survives

pytestmark = [pytest.mark.timeout(900)]
EVERYWHERE = [*FAULTS, *OF_CLUSTERS, *OF_DISKS, *OF_STRIPE, *AT_THE_DOOR]


class Stages:
    """One at a time, made when the first fault needs it: a row that there is already is not made again."""

    def __init__(self) -> None:
        self.open = ExitStack()
        self._of: Staging | None = None

    def of(self, fault: Fault) -> Stage:
        if self._of is not fault.stage:
            self.open.close()
            self._of = None
            self._stage = self.open.enter_context(fault.stage())
            self._of = fault.stage
        return self._stage


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    made = Stages()
    with made.open:
        yield made


def _marked(fault: Fault) -> Any:
    marks = [pytest.mark.faults, *([pytest.mark.servers] if fault.quick else [])]
    return pytest.param(fault, id=fault.name, marks=marks)


@pytest.mark.parametrize("fault", [_marked(one) for one in EVERYWHERE])
def test_nothing_is_lost_or_done_twice(fault: Fault, stages: Stages, capsys: pytest.CaptureFixture[str]) -> None:
    survives(fault, stages.of, capsys)
