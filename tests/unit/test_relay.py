"""The relay: every committed event goes out, each shard's in order, whatever dies or is away in between."""

from collections.abc import Sequence

import pytest

from actors.runtime import relay
from actors.runtime.host import Host
from actors.runtime.wire import Record, body_of
from tests.unit.stage import Stage
from tests.unit.toy import Deposit, Transfer


class Log:
    """An event log that takes what it is given, unless it is `away`; it then may have taken it all the same."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.calls = 0
        self.away = False
        self.takes_all_the_same = False

    async def publish(self, records: Sequence[Record]) -> None:
        self.calls += 1
        if not self.away or self.takes_all_the_same:
            self.taken.extend(record for record in records if body_of(record).events)
        if self.away:
            raise ConnectionError("away on purpose")

    async def close(self) -> None:
        """Nothing is open."""

    def of(self, entity: str) -> list[int]:
        """The versions that arrived, in order; what came again is left out."""
        return list(dict.fromkeys(record.version for record in self.taken if record.entity == entity))


@pytest.fixture
def log(stage: Stage) -> Log:
    stage.cluster.publisher = log = Log()
    return log


@pytest.fixture
def keeps_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "KEPT", 3)
    monkeypatch.setattr(relay, "PAGE", 2)


def _relayed(host: Host) -> bool:
    return all(shard.owed.relayed == shard.seq for shard in host.shards.values())


async def test_what_is_committed_goes_out_once_and_in_order(stage: Stage, log: Log) -> None:
    host = await stage.start()
    for n in range(5):
        await stage.ask("a", Deposit(n + 1))
    await stage.ask("a", Transfer("b", 2, parts=3))
    await stage.until(lambda: _relayed(host))
    assert log.of("a") == [1, 2, 3, 4, 5, 6]
    assert log.of("b") == [1, 2, 3]
    assert len(log.taken) == 9


async def test_nothing_goes_out_that_is_not_committed(stage: Stage, log: Log) -> None:
    await stage.start()
    stage.journal.hold("write")
    asking = stage.asking("a", Deposit(1))
    await stage.clock.advance(1)
    assert log.of("a") == []
    stage.journal.let_go("write")
    await stage.run(asking)
    await stage.until(lambda: log.of("a") == [1])


@pytest.mark.parametrize("takes", [False, True])
async def test_a_log_that_is_away_delays_and_loses_nothing(stage: Stage, log: Log, takes: bool) -> None:
    host = await stage.start()
    log.away, log.takes_all_the_same = True, takes
    for _ in range(3):
        await stage.ask("a", Deposit(1))
    await stage.clock.advance(20)
    log.away = False
    await stage.until(lambda: _relayed(host))
    assert log.of("a") == [1, 2, 3]


@pytest.mark.usefixtures("keeps_three")
async def test_what_memory_does_not_hold_is_read_from_the_journal(stage: Stage, log: Log) -> None:
    host = await stage.start()
    await stage.until(lambda: _relayed(host))
    log.away = True
    for _ in range(12):
        await stage.ask("a", Deposit(1))
    assert host.relay is not None
    assert host.relay.backlog <= 3
    stage.journal.down.add("shard_records")
    log.away = False
    await stage.clock.advance(3)
    stage.journal.down.clear()
    for _ in range(3):
        await stage.ask("a", Deposit(1))
    await stage.until(lambda: _relayed(host))
    assert log.of("a") == list(range(1, 16))
    assert host.relay.backlog == 0


async def test_who_takes_over_relays_what_its_last_owner_did_not(stage: Stage, log: Log) -> None:
    host = await stage.start()
    await stage.ask("a", Deposit(1))
    await stage.until(lambda: _relayed(host))
    await stage.clock.advance(stage.limits.checkpoint + 1)
    log.away = True
    await stage.ask("a", Deposit(1))
    await stage.ask("a", Deposit(1))
    await stage.kill(host)
    log.away = False
    log.taken.clear()
    host = await stage.start("other")
    await stage.until(lambda: _relayed(host))
    # The first was in the checkpoint: it does not go out again.
    assert log.of("a") == [2, 3]


async def test_what_was_handed_over_in_order_does_not_go_out_again(stage: Stage, log: Log) -> None:
    host = await stage.start()
    await stage.ask("a", Deposit(1))
    await stage.until(lambda: _relayed(host))
    await stage.stop(host)
    host = await stage.start("other")
    await stage.ask("a", Deposit(1))
    await stage.until(lambda: _relayed(host))
    assert [record.version for record in log.taken] == [1, 2]
