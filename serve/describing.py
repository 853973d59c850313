"""The description of the whole interface, as /openapi.json of a whole shop has it, without running one."""

import tempfile
from typing import Any

from serve.composing import Shop, front_of
from serve.hosts import host_routes
from serve.settings import Settings
from serve.settings_errors import variable


async def description() -> dict[str, Any]:
    """Made from the defaults; databases are made in a temporary folder and thrown away."""

    async def nothing() -> None:
        pass

    with tempfile.TemporaryDirectory(prefix="troupe-") as folder:
        shop = Shop(Settings.unpacked({variable("data_dir"): folder}))
        try:
            return front_of(shop, nothing, nothing, more=(host_routes(),)).openapi()
        finally:
            await shop.close()
