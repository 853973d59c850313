"""How fast a channel sends when its server complains, is away, or says what it allows."""

import asyncio

import pytest

from pipelines.flow import GivenUp
from serve.notifications.mailer import MailNotSent, ServerAway, Throttled
from serve.notifications.pace import LONGEST_WAIT, SLOWEST, Pace
from serve.notifications.recorded import AnswerLost
from tests.databases import Databases
from tests.unit.mail_world import ManualClock
from tests.unit.test_mails import Desk, mail


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pace(clock: ManualClock) -> Pace:
    return Pace("test", 10.0, clock)


def test_a_server_that_throttles_gets_half_and_a_pause(pace: Pace, clock: ManualClock) -> None:
    pace.answered(Throttled("too fast"))
    assert pace.per_second == 5.0
    with pytest.raises(MailNotSent, match="asked for a pause, which lasts another 1"):
        pace.check()
    # Those that were under way with it are told the same.
    pace.answered(Throttled("too fast"))
    assert pace.per_second == 5.0
    clock.seconds += 1.0
    pace.check()
    pace.answered(Throttled("still"))
    assert pace.per_second == 2.5


def test_it_goes_on_halving_to_a_limit_and_gets_quicker_with_each_mail(pace: Pace, clock: ManualClock) -> None:
    for _ in range(20):
        pace.answered(Throttled("too fast"))
        clock.seconds += 1.0
    assert pace.per_second == pytest.approx(1 / SLOWEST)
    sent = 0
    while pace.per_second < 10.0:
        pace.answered()
        sent += 1
    assert (sent, pace.per_second) == (22, 10.0)


def test_a_used_up_quota_is_a_long_pause(pace: Pace, clock: ManualClock) -> None:
    pace.answered(Throttled("daily quota", 900.0))
    clock.seconds += 59.9
    with pytest.raises(MailNotSent):
        pace.check()
    clock.seconds += 0.1
    pace.check()


def test_what_the_server_allows_is_kept_to(pace: Pace) -> None:
    pace.at_most(100.0)
    assert pace.per_second == 10.0
    pace.at_most(2.0)
    for _ in range(50):
        pace.answered()
    assert pace.per_second == 2.0


async def test_nobody_waits_long_for_a_turn(pace: Pace, clock: ManualClock) -> None:
    pace.at_most(1.0)
    outcomes = await asyncio.gather(*(pace.turn() for _ in range(9)), return_exceptions=True)
    assert [type(one).__name__ for one in outcomes] == ["NoneType"] * 6 + ["MailNotSent"] * 3
    assert max(clock.slept) == pytest.approx(LONGEST_WAIT)


def test_a_server_that_is_away_is_tried_now_and_then(pace: Pace, clock: ManualClock) -> None:
    for _ in range(3):
        pace.check()
        pace.answered(ServerAway("refused"))
    with pytest.raises(MailNotSent, match="away"):
        pace.check()
    clock.seconds += 0.5
    pace.check()
    with pytest.raises(MailNotSent, match="away"):
        pace.check()
    pace.answered()
    pace.check()


def test_a_mail_that_alone_is_not_taken_stops_no_other(pace: Pace) -> None:
    for _ in range(10):
        pace.answered(MailNotSent("greylisted"))
    pace.check()


def test_a_server_that_never_answers_gets_few(pace: Pace) -> None:
    for _ in range(3):
        pace.lost()
    with pytest.raises(MailNotSent, match="away"):
        pace.check()


async def test_while_the_server_is_away_nothing_is_written_for_a_mail(databases: Databases) -> None:
    desk = Desk(databases("notifications"))
    desk.post.refuse = ServerAway("refused")
    for number in range(5):
        with pytest.raises(MailNotSent):
            await desk.mail.deliver(mail(event_id=f"e{number}"))
    assert await desk.statuses() == ["sending"] * 3
    desk.post.refuse = None
    desk.clock.seconds += 0.5
    for number in range(5):
        await desk.mail.deliver(mail(event_id=f"e{number}"))
    assert (len(desk.post.taken), await desk.statuses()) == (5, ["sent"] * 5)
    await desk.store.close()


async def test_throttled_mails_go_out_once_each_when_the_pause_is_over(databases: Databases) -> None:
    desk = Desk(databases("notifications"))
    desk.post.refuse = Throttled("Maximum sending rate exceeded.")
    with pytest.raises(MailNotSent, match="Maximum sending rate"):
        await desk.mail.deliver(mail())
    desk.post.refuse = None
    with pytest.raises(MailNotSent, match="asked for a pause"):
        await desk.mail.deliver(mail())
    desk.clock.seconds += 1.0
    await desk.mail.deliver(mail())
    assert (len(desk.post.taken), await desk.statuses()) == (1, ["sent"])
    await desk.store.close()


async def test_lost_answers_stop_the_flood_and_become_dead_letters_one_by_one(databases: Databases) -> None:
    desk = Desk(databases("notifications"))
    desk.post.lose_answer = TimeoutError("no answer")
    found = []
    for number in range(6):
        (error,) = await asyncio.gather(desk.mail.deliver(mail(event_id=f"e{number}")), return_exceptions=True)
        found.append(type(error))
    assert found == [AnswerLost] * 3 + [MailNotSent] * 3
    for _ in range(2):
        desk.clock.seconds += 60.0
        desk.clock.now += 60_000
        (error,) = await asyncio.gather(desk.mail.deliver(mail(event_id="e0")), return_exceptions=True)
        found.append(type(error))
    assert found[-2:] == [AnswerLost, GivenUp]
    await desk.store.close()
