"""The caller's side: it insists with the same command id, gives up at the deadline, and says why."""

import asyncio
from collections import deque

import pytest

from actors.decision import Done as DoneReply
from actors.runtime.ports import CommandFailed, Done, KeyReused, Overloaded, Unavailable
from actors.runtime.region import GRACE, Region
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.unit.doubles import CountingEntropy, FakeClock
from tests.unit.stage import Stage
from tests.unit.toy import Balance, Deposit, Statement, Toy, Transfer

OK = Result(Status.OK, encode(Balance(1)), 1)


class Script:
    """A way whose one host answers as it is told: None is no answer at all, "nobody" is no host."""

    def __init__(self, *answers: Result | str | None) -> None:
        self.answers = deque(answers)
        self.seen: list[tuple[str, bool, bool, float]] = []
        self.refreshed = 0

    def link(self, kind: str, shard: int) -> "Script | None":
        if self.answers and self.answers[0] == "nobody":
            self.answers.popleft()
            return None
        return self

    def post(self, envelope: Envelope, done: Done) -> None:
        self.seen.append((envelope.command_id, envelope.again, envelope.creates, envelope.seconds))
        answer = self.answers.popleft()
        if isinstance(answer, Result):
            asyncio.get_running_loop().call_soon(done, answer)

    async def refresh(self) -> None:
        self.refreshed += 1


class Caller:
    """A region over a script, on time that moves by itself."""

    def __init__(self, *answers: Result | str | None) -> None:
        self.stage = Stage()
        self.way = Script(*answers)
        self.region = Region(Toy().kinds(), self.way, self.stage.clock, CountingEntropy(), 4)

    async def ask(self, seconds: float = 10.0, creates: bool = False, command_id: str | None = "k") -> object:
        asking = self.region.ask("account", "a", Deposit(1), command_id=command_id, seconds=seconds, creates=creates)
        return await self.stage.run(asking)


@pytest.mark.parametrize("status", [Status.MOVED, Status.UNAVAILABLE, Status.TOO_OLD])
async def test_it_asks_again_with_the_same_id_and_says_that_it_does(status: Status) -> None:
    caller = Caller(Result(status), "nobody", OK)
    assert await caller.ask(creates=True) == (Balance(1), 1, False)
    assert [seen[:3] for seen in caller.way.seen] == [("c:k", False, True), ("c:k", True, False)]
    assert caller.way.refreshed == 2


async def test_a_command_without_an_id_gets_one_and_keeps_it() -> None:
    caller = Caller(Result(Status.MOVED), OK)
    await caller.ask(command_id=None)
    first, second = caller.way.seen
    assert first[0] == second[0] == "c:" + "1".zfill(32)


async def test_it_gives_up_at_the_deadline() -> None:
    caller = Caller(*[Result(Status.MOVED)] * 1000)
    with pytest.raises(Unavailable) as error:
        await caller.ask(seconds=5)
    assert error.value.retry_after == 1.0
    assert 4 <= caller.stage.clock.monotonic() <= 5
    assert len(caller.way.seen) < 25


async def test_no_answer_at_all_ends_at_the_deadline() -> None:
    """The loop's own time bounds a single call."""
    caller = Caller(None)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(caller.region.ask("account", "a", Deposit(1), seconds=0.01), 5)


async def test_a_late_answer_to_a_call_given_up_does_no_harm() -> None:
    late: list[Done] = []

    class Late(Script):
        def post(self, envelope: Envelope, done: Done) -> None:
            late.append(done)

    region = Region(Toy().kinds(), Late(), FakeClock(), CountingEntropy(), 4)
    with pytest.raises(Unavailable):
        await region.ask("account", "a", Deposit(1), seconds=0.01)
    late[0](OK)
    late[0](OK)


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.OVERLOADED, Overloaded), (Status.KEY_REUSED, KeyReused), (Status.FAILED, CommandFailed)],
)
async def test_what_asking_again_would_not_help_is_an_error_at_once(status: Status, error: type[Exception]) -> None:
    caller = Caller(Result(status, retry_after=7.0))
    with pytest.raises(error) as raised:
        await caller.ask()
    assert len(caller.way.seen) == 1
    if isinstance(raised.value, Overloaded):
        assert raised.value.retry_after == 7.0


async def test_a_first_reply_is_told_from_a_repeated_one() -> None:
    caller = Caller(Result(Status.REPEATED, encode(Balance(1)), 3))
    assert await caller.ask() == (Balance(1), 3, True)


async def test_the_replies_that_every_kind_has() -> None:
    caller = Caller(Result(Status.OK, encode(DoneReply()), 1))
    assert await caller.ask() == (DoneReply(), 1, False)


async def test_a_watch_that_moves_waits_only_for_the_rest() -> None:
    caller = Caller(Result(Status.MOVED), Result(Status.OK, encode(Statement(0)), 1))
    await caller.stage.run(caller.region.watch("account", "a", seconds=10))
    first, second = (seen[3] for seen in caller.way.seen)
    assert first == 10
    assert 9.9 < second < 10 + GRACE
    assert second < first


async def test_what_never_was_reads_as_it_begins(stage: Stage) -> None:
    await stage.start()
    answer = await stage.run(stage.cluster.region.read("account", "a"))
    assert answer == (Statement(0), 0, False)
    assert stage.journal.of("a") == []


async def test_a_read_asks_for_no_less_than_it_has_seen(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    answer = await stage.run(stage.cluster.region.read("account", "a", at_least=1))
    assert answer.version == 1
    reading = asyncio.ensure_future(stage.cluster.region.read("account", "a", at_least=2))
    await stage.clock.advance(1)
    assert not reading.done()
    await stage.ask("a", Deposit(1))
    assert (await stage.run(reading))[:2] == (Statement(2), 2)
    with pytest.raises(Unavailable):
        await stage.run(stage.cluster.region.read("account", "a", at_least=3, seconds=1))


async def test_creates_spares_a_read_of_the_journal(stage: Stage) -> None:
    await stage.start()
    await stage.ask("new", Deposit(1), creates=True)
    assert ("load", "new") not in stage.journal.calls
    await stage.ask("old", Deposit(1))
    assert ("load", "old") in stage.journal.calls


async def test_watching_for_a_version(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    before = stage.clock.monotonic()
    at_once = await stage.run(stage.cluster.region.watch("account", "a", beyond=0, seconds=10))
    assert (at_once[:2], stage.clock.monotonic()) == ((Statement(1), 1), before)
    watching = asyncio.ensure_future(stage.cluster.region.watch("account", "a", beyond=1, seconds=10))
    await stage.clock.advance(1)
    assert not watching.done()
    await stage.ask("a", Deposit(1))
    assert (await stage.run(watching))[:2] == (Statement(2), 2)


async def test_watching_until_it_is_settled(stage: Stage) -> None:
    await stage.start()
    watching = asyncio.ensure_future(stage.cluster.region.watch("account", "a", seconds=30))
    for _ in range(3):
        await stage.ask("a", Deposit(33))
    await stage.clock.advance(1)
    assert not watching.done()
    await stage.ask("a", Deposit(1))
    assert (await stage.run(watching))[:2] == (Statement(100), 4)


async def test_at_the_deadline_a_watcher_learns_how_it_stands(stage: Stage) -> None:
    await stage.start()
    await stage.ask("a", Deposit(1))
    before = stage.clock.monotonic()
    assert (await stage.run(stage.cluster.region.watch("account", "a", seconds=10)))[:2] == (Statement(1), 1)
    assert 10 <= stage.clock.monotonic() - before <= 10.2


@pytest.mark.parametrize("hosts", [1, 2])
async def test_following_ends_with_the_view_of_the_entity_that_the_reply_names(stage: Stage, hosts: int) -> None:
    a, b = stage.ids(0, 1)[0], stage.ids(1, 1)[0]
    if hosts == 1:
        await stage.start()
    else:
        await stage.start("h0", [0])
        await stage.start("h1", [1])
    answer = await stage.ask(a, Transfer(b, 50, parts=2), key="k", follow=True)
    assert answer[:2] == (Statement(100, ("0", "1"), (answer.reply.times)), 2)  # type: ignore[attr-defined]
    again = await stage.ask(a, Transfer(b, 50, parts=2), key="k", follow=True)
    assert again.reply == answer.reply
    assert (await stage.view(b)).balance == 100


async def test_following_ends_at_the_deadline_as_it_is(stage: Stage) -> None:
    await stage.start()
    before = stage.clock.monotonic()
    answer = await stage.ask("a", Transfer("b", 50), follow=True, seconds=3)
    assert (getattr(answer.reply, "balance", None), answer.version) == (50, 1)
    assert 3 <= stage.clock.monotonic() - before <= 3.2


async def test_following_a_reply_that_names_nobody(stage: Stage) -> None:
    await stage.start()
    assert await stage.ask("a", Deposit(1), follow=True) == (Balance(1), 1, False)


async def test_a_command_for_nobody_waits_for_somebody(stage: Stage) -> None:
    asked = stage.asking("a", Deposit(1))
    await stage.clock.advance(3)
    assert not asked.done()
    await stage.start()
    assert (await stage.run(asked)).reply == Balance(1)


def test_the_modes_are_told_apart() -> None:
    """They travel and may not be renumbered."""
    assert [mode.value for mode in Mode] == [0, 1, 2, 3]
