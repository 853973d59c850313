"""The way to Redis: scripts, each with a deadline, and whoever calls goes on without when it does not answer."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from serve.circuit import Circuit

SECONDS = 0.1
# Measured: all connections opened at once take 0.15 s, since each has a handshake.
SECONDS_OVER_TLS = 0.3
CONNECTIONS = 32
# In a row; one may be a pause of the server's or of this process.
FAILURES = 2


class RedisAway(Exception):
    """It did not answer in time, or is known not to; what was asked of it may have been done."""


class RedisServer:
    """One a process. `seconds`: what a call may take, together with a new connection."""

    def __init__(self, url: str, *, seconds: float | None = None, prefix: str = "troupe") -> None:
        if seconds is None:
            seconds = SECONDS_OVER_TLS if url.startswith("rediss:") else SECONDS
        self.prefix = prefix
        self.seconds = seconds
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
        if issubclass(pool.connection_class, SSLConnection):
            _share_tls(pool)
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
            async with asyncio.timeout(self.seconds):
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


def _share_tls(pool: BlockingConnectionPool) -> None:
    """Each connection would take 30 ms to read its authorities, in which nothing else is done, and add the system's."""
    shared = SSLConnection(**pool.connection_kwargs).ssl_context
    if shared.ca_certs:
        context = ssl.create_default_context(cafile=shared.ca_certs)
        context.check_hostname = shared.check_hostname
        context.verify_mode = shared.cert_reqs
        if shared.certfile:
            context.load_cert_chain(shared.certfile, shared.keyfile)
        shared.context = context
    shared.get()

    class Sharing(SSLConnection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context = shared

    pool.connection_class = Sharing
