"""Each server over TLS: who vouches for it, by which name, and who we are. Nothing of it is spoken in clear."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from aiokafka.errors import KafkaError
from elastic_transport import TransportError
from elasticsearch import ApiError
from sqlalchemy.exc import OperationalError

from actors.journal.base import JournalUnavailable
from actors.journal.mongo import MongoJournal
from deploy.servers import SHOP, Servers, Tls
from deploy.servers.environment import for_a_shop
from pipelines.log.topics import TopicsFailed, make_topics
from pipelines.sql.mysql import open_mysql
from serve.audit.copying import copy_shop
from serve.catalog.search.choosing import elasticsearch_of
from serve.event_logs import cluster_of
from serve.redis_server import RedisAway, RedisServer
from serve.settings import Settings, load
from serve.setup_steps import set_up
from tests.contract.certificates import Authority

pytestmark = pytest.mark.servers
SECONDS = 5.0


class World(NamedTuple):
    """`settings`: for `load`, of a shop that believes the servers' authority and has a certificate of it."""

    servers: Servers
    settings: Mapping[str, Any]
    another: Authority

    def load(self, **changed: Any) -> Settings:
        return load(**{**self.settings, **changed})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    authority, another = Authority(folder / "authority"), Authority(folder / "another")
    servers, ours = authority.issue("servers"), authority.issue("ours")
    with Servers(SHOP, tls=Tls(authority.file, *servers, asks=True)) as running:
        given: dict[str, Any] = {
            name.removeprefix("TROUPE_").lower(): value for name, value in for_a_shop(running.running).items()
        }
        given |= {"tls_ca": authority.file, "tls_certificate": ours.both, "data_dir": folder / "data"}
        yield World(running, given, another)


async def mysql(settings: Settings) -> None:
    url = sa.make_url(settings.database_url("users")).set(database="troupe")
    engine = open_mysql(url.render_as_string(hide_password=False), 1)
    try:
        with engine.connect() as connection:
            row = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_version'").one()
            assert row[1] in ("TLSv1.2", "TLSv1.3")
    finally:
        engine.dispose()


async def mongo(settings: Settings) -> None:
    assert settings.mongo_address is not None
    journal = MongoJournal(settings.mongo_address, seconds=1.5)
    try:
        await journal.setup()
    finally:
        await journal.close()


async def redis(settings: Settings) -> None:
    assert settings.redis_address is not None
    server = RedisServer(settings.redis_address, seconds=SECONDS)
    try:
        assert await server.run("return 7", [], []) == 7
    finally:
        await server.close()


async def kafka(settings: Settings) -> None:
    await make_topics(cluster_of(settings), 1, 1, lambda _: None)


async def elasticsearch(settings: Settings) -> None:
    async with elasticsearch_of(settings) as client:
        assert client is not None
        await client.info()


REACHED: dict[str, Callable[[Settings], Awaitable[None]]] = {
    "mysql": mysql,
    "mongo": mongo,
    "redis": redis,
    "kafka": kafka,
    "elasticsearch": elasticsearch,
}
REFUSED = (OperationalError, JournalUnavailable, RedisAway, TopicsFailed, KafkaError, TransportError)
ADDRESSES = ("mysql_url", "mongo_url", "redis_url", "elasticsearch_url", "kafka_servers")


@pytest.fixture(params=REACHED)
def name(request: pytest.FixtureRequest, world: World) -> str:
    found = str(request.param)
    if found in world.servers.missing:
        pytest.skip(f"{found} cannot be run here: {world.servers.missing[found]}")
    return found


async def test_a_server_is_reached_whose_authority_is_believed(world: World, name: str) -> None:
    await REACHED[name](world.load())


async def test_one_of_another_authority_is_refused(world: World, name: str) -> None:
    with pytest.raises(REFUSED):
        await REACHED[name](world.load(tls_ca=world.another.file))


async def test_one_of_another_name_is_refused(world: World, name: str) -> None:
    elsewhere = {one: str(world.settings[one]).replace("127.0.0.1", "localhost") for one in ADDRESSES}
    with pytest.raises(REFUSED):
        await REACHED[name](world.load(**elsewhere))


async def test_a_password_alone_is_not_let_in(world: World, name: str) -> None:
    """In clear, as old settings would."""
    clear: dict[str, Any] = {one: str(world.settings[one]) for one in ADDRESSES}
    clear["mysql_url"] += "?ssl_disabled=true"
    clear["redis_url"] = clear["redis_url"].replace("rediss:", "redis:")
    clear["elasticsearch_url"] = clear["elasticsearch_url"].replace("https:", "http:")
    with pytest.raises(REFUSED):
        await REACHED[name](world.load(**clear, tls_ca=None, tls_certificate=None, kafka_tls=False))


async def test_who_shows_no_certificate_where_one_is_asked_for_is_refused(world: World, name: str) -> None:
    if name == "mysql":
        engine = open_mysql(world.load().database_url("users").replace("troupe_users", "troupe"), 1)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE USER 'asked'@'127.0.0.1' IDENTIFIED BY 'a-word' REQUIRE X509")
            connection.exec_driver_sql("GRANT ALL ON troupe.* TO 'asked'@'127.0.0.1'")
        engine.dispose()
        address = sa.make_url(str(world.settings["mysql_url"])).set(username="asked", password="a-word")
        asked = {"mysql_url": address.render_as_string(hide_password=False)}
        await mysql(world.load(**asked))
    else:
        asked = {}
    with pytest.raises(REFUSED):
        await REACHED[name](world.load(**asked, tls_certificate=None))


@pytest.mark.parametrize("name", ["mysql", "redis", "kafka", "elasticsearch"], indirect=True)
async def test_a_wrong_password_is_refused_over_tls_too(world: World, name: str) -> None:
    wrong: dict[str, Any] = {"kafka_password": "wrong"}
    for one in ("mysql_url", "redis_url", "elasticsearch_url"):
        before, _, after = str(world.settings[one]).rpartition("@")
        wrong[one] = f"{before.rpartition(':')[0]}:wrong@{after}"
    with pytest.raises((*REFUSED, ApiError)):
        await REACHED[name](world.load(**wrong))


async def test_elasticsearch_takes_an_api_key_instead_of_a_user(world: World) -> None:
    if "elasticsearch" in world.servers.missing:
        pytest.skip(world.servers.missing["elasticsearch"])
    async with elasticsearch_of(world.load()) as client:
        assert client is not None
        made = await client.security.create_api_key(name="shop")
    url = f"https://{str(world.settings['elasticsearch_url']).rpartition('@')[2]}"
    await elasticsearch(world.load(elasticsearch_url=url, elasticsearch_api_key=made["encoded"]))
    with pytest.raises(ApiError):
        await elasticsearch(world.load(elasticsearch_url=url))


def test_setup_and_audit_go_the_same_way(world: World, tmp_path: Path) -> None:
    if world.servers.missing:
        pytest.skip(f"needs all servers: {world.servers.missing}")
    told: list[str] = []
    set_up(world.load(), told.append)
    assert told[-1].strip() == "templates and aliases are there"
    copy_shop(world.load(), tmp_path)
    assert (tmp_path / "journal.db").exists()


async def test_redis_over_tls_answers_a_crowd_at_once(world: World) -> None:
    """Its deadline is short, and connections are opened when they are needed."""
    if "redis" in world.servers.missing:
        pytest.skip(world.servers.missing["redis"])
    address = world.load().redis_address
    assert address is not None
    server = RedisServer(address)
    try:
        assert await server.run("return 1", [], []) == 1
        answers = await asyncio.gather(*[server.run("return 7", [], []) for _ in range(8)])
        assert answers == [7] * 8
        assert server.up
    finally:
        await server.close()
