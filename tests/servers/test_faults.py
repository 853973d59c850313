"""Each server is killed, cut off and slowed down under a load of shoppers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.faults import FAULTS, Fault
from tests.servers.stage import SERVERS, Stage, on_stage
from tests.servers.surviving import survives

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_stage() as found:
        yield found


def _marked(fault: Fault) -> Any:
    marks = [pytest.mark.faults, *([pytest.mark.servers] if fault.quick else [])]
    return pytest.param(fault, id=fault.name, marks=marks)


@pytest.mark.parametrize("fault", [_marked(one) for one in FAULTS if one.server in ("", *SERVERS)])
def test_nothing_is_lost_or_done_twice(
    fault: Fault, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    survives(fault, request, capsys)
