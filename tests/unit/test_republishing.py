"""What a closed shop is made ready for, so that a new Kafka is told all that the journals hold."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.in_process import InProcess
from actors.runtime.limits import Limits
from actors.runtime.open_work import OpenWork
from actors.runtime.wire import Record, body_of
from actors.stock import Receive
from pipelines.beginning_anew import begin_anew
from pipelines.log.base import Happened
from pipelines.progress import DeadLetter, SqlProgress
from serve.cli.main import app
from serve.migrating.told import remember_orders
from serve.republishing import CannotRepublish, _check_closed, _relay_again
from tests.unit.audited_shop import History
from tests.unit.flow_world import DEADLINE

SHARDS = 2
SKUS = ("MUG", "TEA", "POT", "CUP")


class Log:
    """Takes what it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []

    async def publish(self, records: list[Record]) -> None:
        self.taken += [(record.entity, record.version) for record in records if body_of(record).events]

    async def close(self) -> None:
        """Nothing is open."""


class Shop:
    """Stock entities on a journal, and a log that they are relayed to."""

    def __init__(self, path: Path) -> None:
        self.journal = SqlJournal(str(path / "journal.db"))

    async def open(self, log: Log, name: str = "h") -> InProcess:
        await self.journal.setup()
        clock, limits = SystemClock(), Limits(shards=SHARDS)
        made = InProcess(KINDS, self.journal, clock, SystemEntropy(), limits, {})
        made.publisher = log  # type: ignore[assignment]
        await made.start(name)
        return made


async def _until(log: Log, count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(log.taken) < count:  # noqa: ASYNC110  # the relay tells nobody
            await asyncio.sleep(0.01)


async def test_a_new_log_is_told_everything_in_order(tmp_path: Path) -> None:
    shop, old, new = Shop(tmp_path), Log(), Log()
    running = await shop.open(old)
    for _ in range(3):
        for sku in SKUS:
            await running.region.ask("stock", sku, Receive(1))
    await _until(old, 12)
    with pytest.raises(CannotRepublish, match="A shop runs"):
        await _check_closed(shop.journal, ["stock"], SHARDS)
    await running.stop()

    await _check_closed(shop.journal, ["stock"], SHARDS)
    await _relay_again(shop.journal, ["order"], SHARDS)
    rows = await shop.journal.shard_rows([("stock", number) for number in range(SHARDS)])
    assert all(OpenWork(row.checkpoint).relayed > 0 for row in rows.values())
    for _ in range(2):  # as after one that was broken off
        await _relay_again(shop.journal, ["stock"], SHARDS)
    running = await shop.open(new, "i")
    await running.region.ask("stock", "MUG", Receive(1))
    await _until(new, 13)
    await running.stop()
    assert {sku: [version for entity, version in new.taken if entity == sku] for sku in SKUS} == {
        "MUG": [1, 2, 3, 4],
        "TEA": [1, 2, 3],
        "POT": [1, 2, 3],
        "CUP": [1, 2, 3],
    }
    await shop.journal.close()


async def test_flows_begin_anew_where_their_log_is_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'flows.db'}"
    progress = SqlProgress(url)
    order, user = Happened(7, "order", "o-1", 1, 0, 1, b""), Happened(9, "user", "u-1", 1, 0, 1, b"")
    for flow in ("mails@orders-0", "mails@users-0", "mails@stock-0", "embedded"):
        await progress.save(flow, 5, [order])
    await progress.bury("mails@orders-0", DeadLetter(order, "no", 1))
    await progress.bury("mails@users-0", DeadLetter(user, "no", 1))
    engine = sa.create_engine(url)
    assert begin_anew(engine, {"stock-0"}, ["order"]) == 2
    assert begin_anew(engine, {"stock-0"}, ["order"]) == 1  # its dead letter alone
    engine.dispose()
    standings = {one.flow: (one.position, one.letters) for one in await progress.standings()}
    assert standings == {"embedded": (5, 0), "mails@stock-0": (5, 0), "mails@users-0": (0, 1)}
    assert [letter.happened.position for letter in await progress.letters("mails@users-0")] == [9 - 2**62]
    assert (await progress.load("mails@orders-0")).ahead == frozenset()
    await progress.close()


def test_nobody_is_told_again_of_what_happened_long_ago(tmp_path: Path) -> None:
    history = History(tmp_path / "data")
    asyncio.run(history.make())
    database = history.folder / "notifications.db"
    forgotten = tmp_path / "forgotten.db"
    shutil.copy(database, forgotten)
    with sqlite3.connect(forgotten) as db:
        db.execute("DELETE FROM mails WHERE template = 'receipt'")
        db.execute("DELETE FROM notices")
    before, after = _told(database), _told(forgotten)
    engine = sa.create_engine(f"sqlite:///{forgotten}")
    journal = sa.create_engine(f"sqlite:///{history.folder / 'journal.db'}")
    with journal.connect() as reading:
        assert remember_orders(reading, 1, engine, 2) == 0
        assert remember_orders(reading, 2**50, engine, 2) == len(before) - len(after)
        assert remember_orders(reading, 2**50, engine, 2) == 0
    assert _told(forgotten) == before
    engine.dispose()
    journal.dispose()


def _told(database: Path) -> set[str]:
    with sqlite3.connect(database) as db:
        mails = db.execute("SELECT message_id FROM mails").fetchall()
        return {str(one) for (one,) in [*mails, *db.execute("SELECT id FROM notices").fetchall()]}


def test_without_kafka_there_is_nothing_to_tell(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["republish", "--data", str(tmp_path)])
    assert (told.exit_code, "the journal itself is the event log" in told.stderr) == (2, True)
