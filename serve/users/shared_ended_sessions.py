"""Which sessions ended lately, told to all replicas through Redis; the users' database stays the truth.

While Redis answers, this process looks there often and into the database seldom: for what was told nobody, as Redis
was away from the replica that ended it. While it does not, the database is looked into as without it.
"""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from serve.gateway import clock
from serve.gateway.logs import log
from serve.redis_server import RedisAway, RedisServer
from serve.users.ended_sessions import LOOK_EVERY, PolledEndedSessions
from serve.users.sessions_store import REMEMBERED

HEAR_EVERY = 0.25
DATABASE_EVERY = 5.0
# What is told is read again for so long, in milliseconds of the server's: nothing told in one of them is missed.
OVERLAP = 2_000

_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
TELL = (
    _NOW
    + """
for at = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[at]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return now
"""
)
HEAR = (
    _NOW
    + """
return {now, redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')}
"""
)


class SharedEndedSessions(PolledEndedSessions):
    """Implements `EndedSessions`. What another process ended is known after a quarter of a second and a look."""

    def __init__(
        self,
        engine: sa.Engine,
        redis: RedisServer,
        *,
        hear_every: float = HEAR_EVERY,
        database_every: float = DATABASE_EVERY,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        super().__init__(engine, look_every=LOOK_EVERY, now=now)
        self._redis = redis
        self._key = f"{redis.prefix}:ended"
        self._hear_every = hear_every
        self._database_every = database_every
        self._heard_to = 0

    def add(self, *sessions: str) -> None:
        super().add(*sessions)
        if sessions:
            self._tasks.start(self._tell(sessions), "telling of ended sessions")

    async def _tell(self, sessions: tuple[str, ...]) -> None:
        try:
            await self._redis.run(TELL, [self._key], [REMEMBERED, *sessions])
        except RedisAway:
            return  # the others find it in the database

    async def hear(self) -> bool:
        """Whether Redis said what it knows."""
        try:
            now, sessions = await self._redis.run(HEAR, [self._key], [self._heard_to - OVERLAP])
        except RedisAway:
            return False
        # Not only forwards: another server may have another time.
        self._heard_to = int(now)
        super().add(*(session.decode() for session in sessions if session.decode() not in self))
        return True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            await asyncio.sleep(self._hear_every)
            heard = await self.hear()
            if loop.time() - looked_at < (self._database_every if heard else self._look_every):
                continue
            try:
                await self.look()
                looked_at = loop.time()
            except Exception as error:
                # An access token lives for minutes; those that are logged in must not wait for the database's return.
                log().error("ended sessions cannot be read", exc_info=error)
