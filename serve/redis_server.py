"""The way to Redis: scripts, each with a deadline, and whoever calls goes on without when it does not answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from serve.circuit import Circuit

SECONDS = 0.1
CONNECTIONS = 32
# In a row; one may be a pause of the server's or of this process.
FAILURES = 2


class RedisAway(Exception):
    """It did not answer in time, or is known not to; what was asked of it may have been done."""


class RedisServer:
    """One a process. `seconds`: what a call may take, together with a new connection."""

    def __init__(self, url: str, *, seconds: float = SECONDS, prefix: str = "troupe") -> None:
        self.prefix = prefix
        self._seconds = seconds
        self._circuit = Circuit("redis", failures=FAILURES)
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=seconds,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            # Once more, for connections to a server that was started again.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._scripts: dict[str, AsyncScript] = {}

    @property
    def up(self) -> bool:
        return self._circuit.up

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int | float]) -> Any:
        """What the Lua script answers. Raises RedisAway."""
        if not self._circuit.may_try():
            raise RedisAway
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._redis.register_script(script)
        try:
            async with asyncio.timeout(self._seconds):
                answer = await known(keys=list(keys), args=list(arguments))
        except (RedisError, OSError, TimeoutError):
            self._circuit.failed()
            raise RedisAway from None
        self._circuit.worked()
        return answer

    async def close(self) -> None:
        try:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()
        except (RedisError, OSError):
            return  # there is nobody to take leave of
