"""What every adapter of the ended sessions must do: a session that ended anywhere is ended everywhere, soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from serve.redis_server import RedisServer
from serve.users.ended_sessions import PolledEndedSessions
from serve.users.shared_ended_sessions import SharedEndedSessions
from serve.users.store import open_engine
from serve.users.tables import ended_sessions
from tests.contract.redis_process import OwnRedis

NEVER = 3_600.0


class Replicas:
    """Two, over one database of users."""

    def __init__(self, engine: sa.Engine, made: Callable[[], PolledEndedSessions], redis: OwnRedis | None) -> None:
        self.engine = engine
        self.here, self.there = made(), made()
        self.redis = redis

    def end(self, session: str) -> None:
        """As `Sessions` does it here."""
        with self.engine.begin() as connection:
            connection.execute(ended_sessions.insert(), [{"session": session, "at": int(time.time() * 1000)}])
        self.here.add(session)

    async def known_there(self, session: str, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while session not in self.there:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture(params=["polled", pytest.param("redis", marks=pytest.mark.servers)])
async def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Replicas]:
    engine = open_engine(tmp_path / "users.db")
    if request.param == "polled":
        made = Replicas(engine, lambda: PolledEndedSessions(engine), None)
        servers: list[RedisServer] = []
    else:
        own = OwnRedis(tmp_path)
        await own.start()
        servers = [RedisServer(own.url), RedisServer(own.url)]
        left = iter(servers)
        made = Replicas(engine, lambda: SharedEndedSessions(engine, next(left), database_every=NEVER), own)
    await made.here.start()
    await made.there.start()
    yield made
    await made.here.stop()
    await made.there.stop()
    for server in servers:
        await server.close()
    if made.redis is not None:
        await made.redis.kill()
    engine.dispose()


async def test_what_ends_is_ended_here_at_once_and_elsewhere_within_a_second(replicas: Replicas) -> None:
    replicas.end("s1")
    assert "s1" in replicas.here
    assert "other" not in replicas.there
    await replicas.known_there("s1", 1.0)


async def test_who_starts_later_knows_it_too(replicas: Replicas) -> None:
    replicas.end("s1")
    late = PolledEndedSessions(replicas.engine)
    await late.start()
    assert "s1" in late
    await late.stop()


@pytest.mark.servers
@pytest.mark.parametrize("replicas", ["redis"], indirect=True)
async def test_without_redis_the_database_tells(replicas: Replicas) -> None:
    assert replicas.redis is not None
    replicas.end("before")
    await replicas.known_there("before", 1.0)
    await replicas.redis.kill()
    replicas.end("while away")
    await replicas.known_there("while away", 2.0)
    await replicas.redis.start()
    # Emptied: what it knew is known all the same.
    assert "before" in replicas.there
    async with asyncio.timeout(20):
        number = 0
        while f"again{number}" not in replicas.there:
            number += 1
            replicas.here.add(f"again{number}")
            try:
                await replicas.known_there(f"again{number}", 0.5)
            except TimeoutError:
                continue
