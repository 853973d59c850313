"""Hosts on real servers' journals: they carry out, send, remember and take over; a killed server loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from actors.journal.mongo import MongoJournal
from actors.journal.mysql import MySqlJournal
from actors.runtime.in_process import InProcess, all_shards
from actors.runtime.limits import Limits
from actors.runtime.ports import Unavailable
from actors.runtime.wire import Note as What
from actors.runtime.wire import body_of
from tests.contract.journals import SERVERS, Two
from tests.contract.own_servers import OwnServer, mongo_server, mysql_server
from tests.unit.stage import Bank, real_cluster
from tests.unit.toy import Charge, Deposit, Remind, Statement, Toy, Transfer

pytestmark = pytest.mark.servers

LIMITS = Limits(shards=4, lease_ms=500, renewal=0.1, checkpoint=0.2, retry_most=0.2, snapshot_every=1_000_000)
ALL = [("account", n) for n in range(LIMITS.shards)]
CLIENTS = 12

Opened = Callable[[str], MongoJournal | MySqlJournal]
# How to make one, how to open a journal on it, and how often it is killed: MySQL takes its time to come back.
OWN: dict[str, tuple[Callable[[Path], AbstractContextManager[OwnServer]], Opened, int]] = {
    "mongo": (mongo_server, lambda url: MongoJournal(url, seconds=2), 3),
    "mariadb": (partial(mysql_server, name="MARIADB"), lambda url: MySqlJournal(url, seconds=2), 3),
    "mysql, ordered": (partial(mysql_server, name="MYSQL"), lambda url: MySqlJournal(url, ordered=True, seconds=2), 1),
}


@pytest.fixture(params=sorted(SERVERS))
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Two]:
    async with SERVERS[request.param](tmp_path) as journals:
        yield journals


async def balance(cluster: InProcess, name: str) -> int:
    reply = (await cluster.region.read("account", name)).reply
    assert isinstance(reply, Statement)
    return reply.balance


async def becomes(cluster: InProcess, name: str, wanted: Statement) -> None:
    """Compares all but the times of notes."""
    async with asyncio.timeout(20):
        while True:
            reply = (await cluster.region.read("account", name)).reply
            assert isinstance(reply, Statement)
            if (reply.balance, reply.notes) == (wanted.balance, wanted.notes):
                return
            await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


async def test_what_one_host_began_another_that_takes_over_ends(two: Two) -> None:
    bank = Bank()
    bank.shut = True
    first, second = (real_cluster(journal, Toy(), bank, LIMITS) for journal in two)
    old = await first.start("old")
    await first.region.ask("account", "a", Deposit(10, "hello"), command_id="k")
    await first.region.ask("account", "a", Transfer("b", 2, parts=3))
    await becomes(first, "b", Statement(6, ("0", "1", "2")))
    await first.region.ask("account", "c", Charge("r"))
    later = old.parts.time.now() + 3_000
    await first.region.ask("account", "d", Remind("n", later, "it is time"))
    await until(lambda: not any(shard.owed.changed for shard in old.shards.values()))
    await old.kill()
    bank.shut = False
    new = await second.start("new")
    assert sorted(new.shards) == ALL
    repeated = await second.region.ask("account", "a", Deposit(10, "hello"), command_id="k")
    assert (repeated.repeated, await balance(second, "a")) == (True, 4)
    await becomes(second, "b", Statement(6, ("0", "1", "2")))
    await becomes(second, "c", Statement(0, ("paid r",)))
    await becomes(second, "d", Statement(0, ("it is time",)))
    assert (await second.region.read("account", "d")).reply.times[0] >= later  # type: ignore[attr-defined]
    await second.stop()
    for shard in ALL:
        last = (await two[0].last_records([shard]))[shard]
        assert body_of(last).note is What.RELEASE


async def test_a_host_that_is_well_hears_that_its_shards_were_taken(two: Two) -> None:
    first, second = (real_cluster(journal, Toy(), Bank(), LIMITS) for journal in two)
    old = await first.start("old")
    await first.region.ask("account", "a", Deposit(10))
    new = await second.start("new", ALL[:2])
    assert (sorted(old.shards), sorted(new.shards)) == (ALL[2:], ALL[:2])
    assert old.lease.valid()
    first.way.hosts.append(new)
    second.way.hosts.append(old)
    for name in ("a", "b", "c", "d", "e", "f"):
        for cluster in (first, second):
            await cluster.region.ask("account", name, Deposit(1))
    assert [await balance(first, name) for name in "abf"] == [12, 2, 2]
    second.way.hosts.remove(old)
    first.way.hosts.remove(new)
    await first.stop()
    await second.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", sorted(OWN))
async def test_a_server_that_is_killed_loses_nothing_and_does_nothing_twice(name: str, tmp_path: Path) -> None:
    """Two hosts with a journal each; everybody asks again with the same key until there is an answer."""
    make, opened, kills = OWN[name]
    with make(tmp_path) as server:
        journals = [opened(server.url) for _ in range(2)]
        await journals[0].setup()
        clusters = [real_cluster(journal, Toy(), Bank(), LIMITS) for journal in journals]
        halves = [await c.start(f"h{n}", ALL[2 * n : 2 * n + 2]) for n, c in enumerate(clusters)]
        for cluster in clusters:
            cluster.way.hosts[:] = halves
        region = clusters[0].region
        done = {f"a{n}": 0 for n in range(CLIENTS)}
        over = asyncio.Event()

        async def shop(entity: str) -> None:
            while not over.is_set():
                while True:
                    try:
                        await region.ask("account", entity, Deposit(1), command_id=f"k{done[entity]}", seconds=3)
                        break
                    except Unavailable:
                        continue
                done[entity] += 1

        async def some(number: int) -> None:
            wanted = {entity: number + count for entity, count in done.items()}
            while any(done[entity] < count for entity, count in wanted.items()):
                assert not any(task.done() for task in shopping)
                await asyncio.sleep(0.01)

        shopping = [asyncio.ensure_future(shop(entity)) for entity in done]
        async with asyncio.timeout(90):
            for _ in range(kills):
                await some(20)
                server.kill()
                await asyncio.to_thread(server.start)
            await some(5)
            over.set()
            await asyncio.gather(*shopping)
        for entity, count in done.items():
            assert await balance(clusters[0], entity) == count
            assert [r.version for r in (await journals[1].load("account", entity))[1]] == list(range(1, count + 1))
        ids = []
        for kind, shard in all_shards(clusters[0].kinds, LIMITS.shards):
            records = await journals[1].shard_records(kind, shard, 0, 1_000_000)
            assert [record.seq for record in records] == list(range(1, len(records) + 1))
            ids += [record.record_id for record in records]
        assert len(set(ids)) == len(ids) == sum(done.values()) + 4
        for half in halves:
            await half.stop()
        for journal in journals:
            await journal.close()
