"""A whole shop on real servers of its own, each with a proxy in front of it, so that all of them may be hurt."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import pytest
import redis
import sqlalchemy as sa

from deploy.servers import Servers
from deploy.servers.server import HOST, Service, free_port
from pipelines.log.topics import make_topics
from pipelines.sql.mysql import open_mysql
from pipelines.sql.revisions import stamp
from serve.event_logs import cluster_of
from serve.journals import cart_journal, sql_journal
from serve.settings import Settings
from tests.databases import METADATA
from tests.running import RunningShop
from tests.servers.proxies import Proxies

PARTITIONS = 3
SERVERS = ("mongo", "kafka", "mysql")
"""What the shop is run on; each has its setting in `deploy.servers`, and what must be made on it in `PREPARE`."""
SETTINGS = {
    "TROUPE_KAFKA_PARTITIONS": str(PARTITIONS),
    "TROUPE_KAFKA_REPLICATION": "1",
    # Limited, so that who counts is asked, but never refused.
    "TROUPE_RATE_PER_MINUTE": "1000000",
    "TROUPE_RATE_BURST": "100000",
    "TROUPE_RATE_ADDRESS_FACTOR": "100",
}


class Stage(NamedTuple):
    servers: Servers
    proxies: Proxies
    shop: RunningShop

    def need(self, server: str) -> None:
        """Skips the test where this machine has no such server, or the shop does not use it yet."""
        if server in self.servers.missing:
            pytest.skip(f"{server} cannot be run here: {self.servers.missing[server]}")

    def names(self, server: str) -> str:
        """What the server is called among `servers`: mysql may be MariaDB."""
        return self.servers.stands_in.get(server, server)


class Guarded:
    """The servers and their proxies: `with Guarded() as guarded:`. `settings`: of a shop behind the proxies."""

    def __init__(self, names: tuple[str, ...] = SERVERS) -> None:
        self._ports = {name: free_port() for name in names}
        advertised = f"{HOST}:{self._ports['kafka']}"
        self.servers = Servers([*names, "toxiproxy"], advertised=advertised)
        self.settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.servers.__enter__()
        try:
            running = dict(self.servers.running)
            self.proxies = Proxies(running.pop("toxiproxy").url())
            for name, service in running.items():
                self.settings |= self._guard(name, service)
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.proxies.close()
        self.servers.stop()

    def _guard(self, name: str, service: Service) -> dict[str, str]:
        (server,) = service.servers
        place = f"{HOST}:{self._ports[name]}"
        self.proxies.add(name, place, server.address)
        # A client of a replica set would ask it where its members are, and go there.
        behind = {
            key: value.replace(server.address, place).replace("replicaSet=rs0", "directConnection=true")
            for key, value in service.settings().items()
        }
        return {key: value for key, value in behind.items() if key != "TROUPE_KAFKA_REPLICATION"}


@contextmanager
def on_stage(**variables: str) -> Iterator[Stage]:
    """The shop runs when it begins; all is gone when it ends."""
    with Guarded() as guarded:
        shop = RunningShop(demo=False, services=(), **SETTINGS, **guarded.settings, **variables)
        set_up(shop.settings)
        with shop:
            yield Stage(guarded.servers, guarded.proxies, shop)


def set_up(settings: Settings) -> None:
    """What the servers must have before a shop runs on them."""
    for prepare in PREPARE:
        prepare(settings)


def _topics(settings: Settings) -> None:
    if settings.kafka_servers:
        made = make_topics(cluster_of(settings), settings.kafka_partitions, settings.kafka_replication, lambda _: None)
        asyncio.run(made)


def _journals(settings: Settings) -> None:
    async def make() -> None:
        for journal in (sql_journal(settings), cart_journal(settings)):
            if journal is not None:
                await journal.setup()
                await journal.close()

    if settings.mysql_url is not None:
        _database(sa.make_url(settings.database_url("journal")))
    asyncio.run(make())


def _tables(settings: Settings) -> None:
    if settings.mysql_url is None:
        return
    for name, metadata in METADATA.items():
        url = sa.make_url(settings.database_url(name))
        _database(url)
        engine = open_mysql(url.render_as_string(hide_password=False), 1)
        with engine.begin() as connection:
            metadata.create_all(connection)
            stamp(connection, metadata.info["revision"])
        engine.dispose()


def _database(url: sa.URL) -> None:
    root = sa.create_engine(url.set(database=""))
    with root.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE IF NOT EXISTS {url.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
    root.dispose()


def empty_redis(settings: Settings) -> None:
    """FLUSHALL."""
    assert settings.redis_url is not None
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()


PREPARE: tuple[Callable[[Settings], None], ...] = (_topics, _journals, _tables)
