"""A Redis of a test's own, to be killed: the same program as the one that tests are given the address of."""

import asyncio
import os
from pathlib import Path

import psutil
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.running import free_port
from tests.servers import address

DEADLINE = 20


class OwnRedis:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Empty, and ready when this returns."""
        shared = Redis.from_url(address("REDIS"))
        found = psutil.Process((await shared.info("server"))["process_id"])
        await shared.aclose()
        # Its libraries may stand anywhere, and what it does depends on its name.
        libraries = {str(Path(one.path).parent) for one in found.memory_maps() if ".so" in one.path}
        self._process = await asyncio.create_subprocess_exec(
            *("redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "no"),
            executable=found.exe(),
            env=dict(os.environ) | {"LD_LIBRARY_PATH": ":".join(sorted(libraries))},
            stdout=asyncio.subprocess.DEVNULL,
        )
        own = Redis.from_url(self.url)
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    await own.ping()
                    break
                except RedisConnectionError:
                    await asyncio.sleep(0.02)
        await own.aclose()

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None
