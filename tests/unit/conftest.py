"""What the tests of the runtime stand on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.databases import KINDS, Databases, Servers
from tests.unit.stage import Stage


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Databases:
    """On SQLite, and with ``-m servers`` on each real server."""
    return Databases(tmp_path, None if request.param == "sqlite" else servers(request.param))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A cluster without a host yet."""
    made = Stage()
    yield made
    await made.close()
