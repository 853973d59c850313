"""One shop with two hosts on this machine for all of these tests; it is gone before others start theirs."""

import secrets
from collections.abc import Iterator

import httpx
import pytest

from tests.api.shopping import Staff
from tests.running import RunningShop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(420))


@pytest.fixture(scope="package")
def shop() -> Iterator[RunningShop]:
    with RunningShop(TROUPE_HOSTS="2", TROUPE_RATE_LIMITS="false") as running:
        yield running


@pytest.fixture(scope="package")
def web(shop: RunningShop) -> Iterator[httpx.Client]:
    with shop.client() as client:
        yield client


@pytest.fixture
def staff(shop: RunningShop, web: httpx.Client) -> Staff:
    return Staff(web, shop.staff_token())


@pytest.fixture
def skus(staff: Staff) -> list[str]:
    """A dozen new products with plenty in stock."""
    made = [f"C-{secrets.token_hex(5)}" for _ in range(12)]
    for sku in made:
        staff.put_product(sku, 1000)
        staff.receive(sku, 100_000)
    return made
