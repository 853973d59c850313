"""Loads the demo shop into a running one."""

import asyncio

from rich.console import Console

from serve.catalog.service import Catalog
from serve.cli.access import client
from serve.cli.catalog import receives_stock
from serve.demo.load import DATA_SET, load_demo
from serve.settings import Settings


def load(settings: Settings, console: Console) -> None:
    """Does nothing when the demo was loaded before, or when the catalogue has products of its own."""
    loaded = asyncio.run(_load(settings))
    if loaded:
        console.print(f"Loaded the demo shop: {loaded} products")


async def _load(settings: Settings) -> int:
    catalog = Catalog(settings.database_url("catalog"), currency=settings.currency)
    try:
        begun = await catalog.loaded(f"{DATA_SET}-begun")
        if not begun and await catalog.products_after("", 1):
            return 0
        # Said first, so that a load that broke off half-way goes on at the next start.
        await catalog.note_loaded(f"{DATA_SET}-begun")
        async with client(settings) as http:
            return await load_demo(catalog, receives_stock(http))
    finally:
        await catalog.close()
