"""One shop for all of these tests; each test makes the products and the people that it needs."""

import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.running import RunningShop

pytest.register_assert_rewrite("tests.api.shopping")

from tests.api.shopping import Buyer, Staff  # noqa: E402 (only from here on its assertions tell what they saw)

SECRET = secrets.token_hex(16)
"""In the environment of who starts the shop."""
SETTINGS = {
    "TROUPE_CARRIER_SECRET": SECRET,
    # So that a busy machine answers what it came to, and not that it is still under way.
    "TROUPE_CHECKOUT_WAIT_SECONDS": "30",
}
MakeProduct = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/api/" in item.path.as_posix():
            # The first one starts the shop, and its own deadline should be the one that tells.
            item.add_marker(pytest.mark.timeout(300))
    # Of these tests the crowds come last: a thousand people's mails would go before those that others wait for.
    places = [place for place, item in enumerate(items) if "tests/api/" in item.path.as_posix()]
    ours = sorted((items[place] for place in places), key=lambda item: item.path.name == "test_crowds.py")
    for place, item in zip(places, ours, strict=True):
        items[place] = item


@pytest.fixture(scope="package")
def shop() -> Iterator[RunningShop]:
    with RunningShop(demo=False, **SETTINGS) as running:
        yield running


@pytest.fixture(scope="package")
def web(shop: RunningShop) -> Iterator[httpx.Client]:
    """Calls the shop without a token."""
    with shop.client() as client:
        yield client


@pytest.fixture
def staff(shop: RunningShop, web: httpx.Client) -> Staff:
    return Staff(web, shop.staff_token())


@pytest.fixture
def product(staff: Staff) -> MakeProduct:
    """`product(price=1000, stock=100)` makes one and answers its SKU."""

    def make(price: int = 1000, stock: int = 100, category: str = "Tests", name: str = "") -> str:
        sku = f"T-{secrets.token_hex(5)}"
        staff.put_product(sku, price, category, name or f"Thing {sku}")
        if stock:
            staff.receive(sku, stock)
        return sku

    return make


@pytest.fixture
def guest(web: httpx.Client) -> Buyer:
    """Somebody who has not put anything in a cart yet."""
    return Buyer(web)


@pytest.fixture
def user(web: httpx.Client) -> Buyer:
    """Somebody new who has registered and logged in."""
    return Buyer.registered(web)
