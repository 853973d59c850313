"""Two hosts in one process, each on a journal of its own: neither waits for the other's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from actors.journal.base import ShardId
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.host import Host
from actors.runtime.limits import Limits
from actors.runtime.on_ray import host_group
from actors.runtime.on_ray.host_group import HostGroup
from actors.runtime.status import status
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.doubles import FakeClock, MemoryJournal
from tests.unit.toy import Deposit, Toy

LIMITS = Limits(shards=2, renewal=0.05)


class Two:
    """Accounts on one journal and savings on another."""

    def __init__(self) -> None:
        self.journals = {name: MemoryJournal(FakeClock()) for name in ("account", "saving")}
        account = Toy().kinds()["account"]
        kinds = {"account": account, "saving": replace(account, name="saving")}
        hosts = [
            Host("h", {name: kinds[name]}, journal, SystemClock(), SystemEntropy(), LIMITS, {}, lambda *_: None)
            for name, journal in self.journals.items()
        ]
        self.group = HostGroup(hosts)

    def shards(self, kind: str) -> list[ShardId]:
        return [(kind, 0), (kind, 1)]

    async def ask(self, kind: str) -> Result:
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        envelope = Envelope(Mode.ASK, kind, "a", encode(Deposit(1)), "c:1")
        self.group.accept(envelope, answered.set_result)
        return await asyncio.wait_for(answered, 5)


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    monkeypatch.setattr(host_group, "SECONDS", 0.1)
    monkeypatch.setattr(host_group, "RETRY_SECONDS", 0.01)
    made = Two()
    yield made
    for journal in made.journals.values():
        journal.down.clear()
    await made.group.stop()


async def test_each_kind_is_in_its_own_journal(two: Two) -> None:
    await two.group.start()
    await two.group.own([*two.shards("account"), *two.shards("saving")])
    assert two.group.has_everything()
    assert (await two.ask("account")).status is Status.OK
    assert (await two.ask("saving")).status is Status.OK
    for kind, journal in two.journals.items():
        assert {record.kind for record in journal.records} == {kind}
    told = status(two.group.hosts)
    assert (told["name"], told["shards"], told["entities"], told["records"]) == ("h", 4, 2, 2)


async def test_a_kind_that_nobody_has_here_is_elsewhere(two: Two) -> None:
    await two.group.start()
    assert (await two.ask("unheard of")).status is Status.MOVED


@pytest.mark.parametrize("method", ["renew", "last_records"])
async def test_a_journal_that_is_away_keeps_only_its_own_kinds_from_going(two: Two, method: str) -> None:
    two.journals["saving"].down.add(method)
    await two.group.start()
    await two.group.own([*two.shards("account"), *two.shards("saving")])
    assert sorted(two.group.shards) == two.shards("account")
    assert (await two.ask("account")).status is Status.OK
    assert (await two.ask("saving")).status is Status.MOVED
    two.journals["saving"].down.clear()
    async with asyncio.timeout(5):
        while len(two.group.shards) < 4:
            await two.group.own(two.shards("saving"))
            await asyncio.sleep(0)
    assert (await two.ask("saving")).status is Status.OK


async def test_what_hangs_is_not_begun_again_and_goes_on_by_itself(two: Two) -> None:
    await two.group.start()
    journal = two.journals["saving"]
    journal.hold("last_records")
    for _ in range(3):
        await two.group.own([*two.shards("account"), *two.shards("saving")])
    assert sorted(two.group.shards) == two.shards("account")
    assert journal.counted()["last_records"] == 1
    journal.let_go("last_records")
    async with asyncio.timeout(5):
        while len(two.group.shards) < 4:  # noqa: ASYNC110  # what is under way tells nobody
            await asyncio.sleep(0.001)


async def test_handing_over_leaves_the_other_journals_kinds_alone(two: Two) -> None:
    await two.group.start()
    await two.group.own([*two.shards("account"), *two.shards("saving")])
    await two.group.disown([("saving", 0), ("account", 1)])
    assert sorted(two.group.shards) == [("account", 0), ("saving", 1)]
    assert not two.group.has_everything()
