"""The journals of a shop, as the settings choose them: which database keeps the records of which kinds of entity."""

from typing import NamedTuple

from actors.journal.base import Journal
from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.runtime.on_ray.host_actor import Kept
from serve.opened import Opened
from serve.settings import Settings


class Journals(NamedTuple):
    """`sql`: of orders, payments and stock; where there is no Kafka it is the event log, too."""

    sql: Journal
    kept: tuple[Kept, ...]


async def open_journals(settings: Settings) -> Journals:
    """All that hosts need; they are the caller's to close. Raises JournalUnavailable."""
    async with Opened() as opened:
        journal = opened.closing(SqlJournal(str(settings.database("journal")), full_sync=settings.sync == "full"))
        await journal.setup()
        opened.pop_all()
    return Journals(journal, (Kept(KINDS, journal),))


def open_event_journal(settings: Settings) -> Journal:
    """For who reads the journal as the event log, and writes nothing. The caller's to close."""
    return SqlJournal(str(settings.database("journal")))
