"""A rehearsal: the shop as a newcomer starts it, a crowd of Locust's, a real shop's invoices, and then the books."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningShop

ROOT = Path(__file__).parents[2]
INVOICES = os.environ.get("TROUPE_TEST_INVOICES", str(ROOT.parent / "shared" / "data"))
FIRST = 500
SECONDS = 600


@pytest.fixture(scope="module")
def shop() -> Iterator[RunningShop]:
    with RunningShop(demo=True, TROUPE_RATE_LIMITS="false") as running:
        yield running


def run(*command: str, shop: RunningShop) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "TROUPE_DATA_DIR": str(shop.settings.data_dir), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.timeout(SECONDS)
def test_the_demo_shop_is_open_and_full(shop: RunningShop) -> None:
    with shop.client() as client:
        tree = client.get("/api/catalog/categories").json()
        page = client.get("/api/catalog/products", params={"limit": 1}).json()
        image = client.get(f"/api/catalog/products/{page['items'][0]['slug']}").json()["image"]
        picture = client.get(image)
    assert sum(node["count"] for node in tree["items"]) >= 120
    assert (picture.status_code, picture.headers["content-type"].split(";")[0]) == (200, "image/svg+xml")


@pytest.mark.timeout(SECONDS)
def test_a_crowd_of_locusts_is_served_without_an_error(shop: RunningShop) -> None:
    crowd = ["--headless", "-u", "20", "-r", "10", "-t", "20s", "--stop-timeout", "20", "--exit-code-on-error", "1"]
    done = run("locust", "-f", "benchmarks/locustfile.py", "--host", shop.url, *crowd, shop=shop)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.timeout(SECONDS)
def test_the_first_invoices_of_a_real_shop_come_out_to_the_penny(shop: RunningShop) -> None:
    files = sorted(Path(INVOICES).glob("*.csv.gz"))
    if not files:
        pytest.skip(f"no invoices in {INVOICES}; TROUPE_TEST_INVOICES names a folder that has some")
    done = run("serve.cli.main", "replay", str(files[0]), "--first", str(FIRST), shop=shop)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.timeout(SECONDS)
def test_the_books_agree_afterwards(shop: RunningShop) -> None:
    """Not settled: who left after a declined card keeps an order open until its deadline."""
    done = run("serve.cli.main", "audit", shop=shop)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
