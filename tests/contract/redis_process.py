"""A Redis of a test's own, to be killed."""

import asyncio
from pathlib import Path

from deploy.servers.fleet import Servers
from tests.running import free_port
from tests.servers import address


class OwnRedis:
    """Each start is one of an empty server, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._started = 0
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._servers: Servers | None = None

    async def start(self) -> None:
        """Ready when this returns. Skips the test where there is none; see `address`."""
        address("REDIS")
        self._started += 1
        data = self._folder / f"redis-{self._started}"
        self._servers = Servers(["redis"], data=data, ports={"redis": self._port})
        await asyncio.to_thread(self._servers.start)

    async def kill(self) -> None:
        """kill -9."""
        if self._servers is not None:
            servers, self._servers = self._servers, None
            await asyncio.to_thread(servers["redis"].kill)
            await asyncio.to_thread(servers.stop)
