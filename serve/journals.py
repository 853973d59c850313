"""The journals of a shop, as the settings choose them: which database keeps the records of which kinds of entity."""

from typing import NamedTuple

from actors.journal.base import Journal
from actors.journal.mongo import MongoJournal
from actors.journal.mysql import MySqlJournal
from actors.journal.sql import SqlJournal
from actors.kinds import CART, KINDS
from actors.runtime.furnishing import Kept
from serve.opened import Opened
from serve.settings import Settings


class Journals(NamedTuple):
    """`sql`: of orders, payments and stock; where there is no Kafka it is the event log, too."""

    sql: Journal
    kept: tuple[Kept, ...]


async def open_journals(settings: Settings) -> Journals:
    """All that hosts need; they are the caller's to close. Raises JournalUnavailable."""
    async with Opened() as opened:
        journal = opened.closing(sql_journal(settings))
        if isinstance(journal, SqlJournal):
            # On servers `troupe setup` makes the tables.
            await journal.setup()
        carts = cart_journal(settings)
        opened.pop_all()
    return Journals(journal, kept_in(journal, carts))


def kept_in(journal: Journal, carts: Journal | None) -> tuple[Kept, ...]:
    """Which kinds are kept where; `carts`: as `cart_journal`."""
    if carts is None:
        return (Kept(KINDS, journal),)
    others = {name: kind for name, kind in KINDS.items() if name != CART.name}
    return Kept(others, journal), Kept({CART.name: CART}, carts)


def sql_journal(settings: Settings) -> SqlJournal | MySqlJournal:
    """Of orders, payments and stock, and in one order where it is the event log; its owner's to close."""
    if settings.mysql_url is None:
        return SqlJournal(str(settings.database("journal")), full_sync=settings.sync == "full")
    return MySqlJournal(settings.database_url("journal"), ordered=not settings.kafka_servers)


def cart_journal(settings: Settings) -> MongoJournal | None:
    """Where carts are kept if not with the rest; not connected yet, and its owner's to close."""
    return None if settings.mongo_address is None else MongoJournal(settings.mongo_address)
