"""What the tests of the runtime stand on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.databases import KINDS, Databases, databases_on
from tests.unit.stage import Stage


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """On SQLite, and with ``-m servers`` on each real server."""
    with databases_on(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A cluster without a host yet."""
    made = Stage()
    yield made
    await made.close()
