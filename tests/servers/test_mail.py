"""SES throttles, is away, or loses its answers under a load of shoppers, who notice nothing; every mail goes out."""

from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from serve.notifications.tables import MAILS
from tests.servers.faults import OF_MAIL, Fault
from tests.servers.stage import Stage, on_stage_with_mail
from tests.servers.surviving import survives

pytestmark = [pytest.mark.timeout(900), pytest.mark.faults]
TWICE = ("ses: answers lost", "ses: black hole", "ses: connections reset")
"""What SES may have taken without our knowing it goes out a second time, and never a third."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_stage_with_mail() as found:
        yield found


@pytest.mark.parametrize("fault", OF_MAIL, ids=lambda fault: fault.name)
def test_shoppers_notice_nothing_and_every_mail_goes_out(
    fault: Fault, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    survives(fault, lambda _: stage, capsys)
    assert stage.ses is not None
    times = Counter(str(one["message_id"]) for one in stage.ses.mails())
    stage.ses.pull("reset")
    assert times
    assert max(times.values()) <= (2 if fault.name in TWICE else 1)
    assert times.keys() <= _sent(stage)
    with capsys.disabled():
        print(f"  {len(times)} mails, {sum(number - 1 for number in times.values())} of them twice")  # noqa: T201


def _sent(stage: Stage) -> set[str]:
    """The Message-IDs of all mails of the shop, each of which has been sent."""
    engine = sa.create_engine(stage.shop.settings.database_url("notifications"))
    try:
        with engine.connect() as db:
            rows = db.execute(sa.select(MAILS.c.message_id, MAILS.c.outcome)).all()
    finally:
        engine.dispose()
    assert {row.outcome for row in rows} == {"sent"}
    return {row.message_id for row in rows}
