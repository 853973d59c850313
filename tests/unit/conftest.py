"""What the tests of the runtime stand on."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A cluster without a host yet."""
    made = Stage()
    yield made
    await made.close()
