"""The disk of a database is filled under a load of shoppers."""

from collections.abc import Iterator

import pytest

from tests.servers.faults import OF_DISKS, Fault
from tests.servers.stage import Stage, on_small_disks
from tests.servers.surviving import survives

pytestmark = [pytest.mark.timeout(900), pytest.mark.faults]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_small_disks() as found:
        yield found


@pytest.mark.parametrize("fault", OF_DISKS, ids=lambda fault: fault.name)
def test_nothing_is_lost_or_done_twice(
    fault: Fault, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    survives(fault, request, capsys)
