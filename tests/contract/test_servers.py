"""Each real server starts, speaks its protocol, keeps what it was given over kill -9, and never outlives its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from elasticsearch import Elasticsearch
from sqlalchemy import create_engine, text

from deploy.servers import SERVICES, Servers
from deploy.servers.mongo import primary
from deploy.servers.program import ProgramService
from tests.servers import address

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def running(name: str, *, brokers: int = 1, mongo_nodes: int = 1) -> Iterator[Servers]:
    address(name.upper())  # skips, with the reason, what cannot be run here
    with Servers([name], brokers=brokers, mongo_nodes=mongo_nodes) as servers:
        yield servers


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_a_database_keeps_what_was_committed_and_lets_nobody_in_without_its_password(name: str) -> None:
    with running(name) as servers:
        engine = create_engine(servers.running[name].url(), pool_pre_ping=True)
        for user in (engine.url.username, "root", ""):
            with pytest.raises(Exception, match="Access denied"):
                create_engine(engine.url.set(username=user, password="wrong")).connect()
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (id INT PRIMARY KEY)"))
            connection.execute(text("INSERT INTO kept VALUES (7)"))
        (server,) = servers
        server.kill()
        assert not server.running
        server.start()
        with engine.begin() as connection:
            assert connection.execute(text("SELECT id FROM kept")).scalars().all() == [7]
        engine.dispose()


def test_mongo_keeps_what_a_majority_has() -> None:
    with running("mongo") as servers:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(servers.running["mongo"].url())
        with client:
            kept = client["kept"].get_collection("kept", write_concern=pymongo.WriteConcern("majority", j=True))
            kept.insert_one({"_id": 7})
            servers["mongo"].kill()
            servers["mongo"].start()
            assert list(kept.find()) == [{"_id": 7}]


def test_three_mongo_nodes_choose_another_primary() -> None:
    with running("mongo", mongo_nodes=3) as servers:
        first = primary(servers)
        first.kill()
        second = primary(servers)
        assert second.name != first.name
        first.start()
        assert [server.name for server in servers if server.running] == ["mongo-1", "mongo-2", "mongo-3"]


def test_redis_keeps_what_was_synced() -> None:
    with running("redis") as servers, redis.Redis.from_url(servers.running["redis"].url()) as client:
        client.config_set("appendfsync", "always")
        client.set("kept", "7")
        servers["redis"].kill()
        servers["redis"].start()
        assert client.get("kept") == b"7"


async def produce_and_read(servers: Servers, copies: int, meanwhile: Callable[[], None]) -> list[bytes | None]:
    url = servers.running["kafka"].url()
    admin = AIOKafkaAdminClient(bootstrap_servers=url)
    await admin.start()
    made = await admin.create_topics([NewTopic("kept", 1, copies)])
    await admin.close()
    assert [error[1] for error in made.topic_errors] == [0]
    async with AIOKafkaProducer(bootstrap_servers=url, acks="all") as producer:
        await producer.send_and_wait("kept", b"7")
    meanwhile()
    async with AIOKafkaConsumer("kept", bootstrap_servers=url, auto_offset_reset="earliest") as consumer:
        return [(await consumer.getone()).value]


async def test_kafka_keeps_what_it_acknowledged() -> None:
    with running("kafka") as servers:

        def restart() -> None:
            servers["kafka"].kill()
            servers["kafka"].start()

        assert await produce_and_read(servers, 1, restart) == [b"7"]
        assert servers["kafka"].stop()


async def test_of_three_kafka_brokers_one_may_be_killed() -> None:
    with running("kafka", brokers=3) as servers:
        assert await produce_and_read(servers, 3, servers["kafka-2"].kill) == [b"7"]
        servers["kafka-2"].start()
        assert all(server.running for server in servers)


def test_elasticsearch_keeps_what_it_acknowledged() -> None:
    with running("elasticsearch") as servers, Elasticsearch(servers.running["elasticsearch"].url()) as client:
        client.index(index="kept", id="7", document={"name": "seven"})
        server = servers["elasticsearch"]
        before = server.pid
        server.kill()
        server.start()
        assert server.pid != before
        assert client.get(index="kept", id="7")["_source"] == {"name": "seven"}


def test_a_paused_server_says_nothing_until_it_is_resumed() -> None:
    with running("redis") as servers:
        server = servers["redis"]
        client = redis.Redis.from_url(servers.running["redis"].url(), socket_timeout=0.3, retry=None)
        assert client.ping()
        server.pause()
        with pytest.raises(redis.exceptions.TimeoutError):
            client.ping()
        assert server.running
        server.resume()
        assert client.ping()
        client.close()


def test_toxiproxy_passes_on_what_is_behind_it() -> None:
    with running("redis") as servers, running("toxiproxy") as proxies:
        behind = {"name": "redis", "listen": "127.0.0.1:0", "upstream": servers["redis"].address, "enabled": True}
        made = httpx.post(f"{proxies.running['toxiproxy'].url()}/proxies", json=behind, timeout=10)
        assert made.status_code == 201
        with redis.Redis.from_url(f"redis://{made.json()['listen']}/0") as client:
            assert client.ping()


def test_nothing_is_left_of_servers_whose_parent_was_killed() -> None:
    here = {name: kind for name, kind in SERVICES.items() if f"TROUPE_TEST_{name.upper()}_URL" in os.environ}
    names = [name for name, kind in here.items() if not issubclass(kind, ProgramService)]
    address((names or ["redis"])[0].upper())  # fails if nobody started any
    parent = subprocess.Popen(
        [sys.executable, "-m", "deploy.servers", "run", *names, "--", "/bin/sh", "-c", "echo; exec sleep 300"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"\n"
    family = descendants(parent.pid)
    assert len(family) > 2 * len(names)  # a guard and a server each, and the command
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(exists(pid) for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stat(pid: int) -> list[str]:
    """State and parent of a process, as /proc has them."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descendants(pid: int) -> set[int]:
    parents = {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parents[int(one.name)] = int(stat(int(one.name))[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def exists(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return stat(pid)[0] != "Z"
    return False
