"""The service's database: which mails are on their way and what became of them, notices, and what people turned off."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from pipelines.sql.words import Said, insert_missing, next_place
from serve.databases import SharedTransactions, open_engine
from serve.notifications.sendings import NewMail, Sendings
from serve.notifications.suppressed import Suppressions
from serve.notifications.tables import ERASED, MAILS, METADATA, NOTICES, TEXTS, TURNED_OFF, TURNED_ON

T = TypeVar("T")

_IS_OFF = Said("SELECT 1 FROM turned_off WHERE owner = ? AND kind = ? AND channel = ?")
_IS_ON = Said("SELECT 1 FROM turned_on WHERE owner = ? AND kind = ? AND channel = ?")


class NewNotice(NamedTuple):
    """`facts`: JSON. `id`: the same for the same event and kind."""

    id: str
    owner: str
    kind: str
    order_id: str
    currency: str
    facts: str
    created_at: int


class Notice(NamedTuple):
    place: int
    id: str
    kind: str
    order_id: str
    currency: str
    facts: str
    created_at: int
    read_at: int | None


class Mailed(NamedTuple):
    """A mail that was, or may have been, handed to the server. `busy_until`: 0 if nobody is sending it."""

    message_id: str
    busy_until: int


_SHOWN = [NOTICES.c[name] for name in Notice._fields]
_AT_ONCE = 200


class NotificationStore:
    """Times are UTC in milliseconds. `url`: an SQLAlchemy address. Owners are user:<id> or guest:<id>."""

    def __init__(self, url: str) -> None:
        # One connection writes, others read pages, so that neither waits.
        self._engine = open_engine(url, METADATA, 5)
        self._reading = self._engine.execution_options(writes=False)
        self._writes = SharedTransactions(self._engine, "mails-write")
        self.mails = Sendings(MAILS, self._writes, _mail_is_off)
        self.texts = Sendings(TEXTS, self._writes, _text_is_not_on)
        self.suppressed = Suppressions(self._reading, self._writes)

    async def close(self) -> None:
        """Waits for what is running. The store is not used after it."""
        await self.suppressed.close()
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)

    async def _read(self, work: Callable[[sa.Connection], T]) -> T:
        def in_a_transaction() -> T:
            with self._reading.begin() as db:
                return work(db)

        return await asyncio.to_thread(in_a_transaction)

    # Mails

    async def mails_of(self, owner: str, orders: Sequence[str]) -> list[Mailed]:
        """Those to an owner, and those about these orders."""
        whose = [MAILS.c.owner == owner]
        whose += [MAILS.c.order_id.in_(orders[at : at + _AT_ONCE]) for at in range(0, len(orders), _AT_ONCE)]
        busy = sa.and_(MAILS.c.outcome.is_(None), MAILS.c.sender.is_not(None))
        columns = (MAILS.c.message_id, sa.case((busy, MAILS.c.ends_at), else_=0))

        def work(db: sa.Connection) -> list[Mailed]:
            return [Mailed(*row) for where in whose for row in db.execute(sa.select(*columns).where(where))]

        return await self._read(work)

    # Notices

    async def add_notice(self, notice: NewNotice, *, optional: bool) -> None:
        """Once for each id; not to a person who was erased, nor, if `optional`, to one who turned such notices off."""
        await self._writes.run(lambda db: _add_notice(db, notice, optional))

    async def notices(
        self, owner: str, *, before: int | None = None, unread: bool = False, limit: int
    ) -> tuple[list[Notice], int]:
        """Newest first, those before a place; and how many of all are unread."""
        mine = NOTICES.c.owner == owner
        query = sa.select(*_SHOWN).where(mine).order_by(NOTICES.c.place.desc()).limit(limit)
        if before is not None:
            query = query.where(NOTICES.c.place < before)
        if unread:
            query = query.where(NOTICES.c.read_at.is_(None))
        return await self._read(lambda db: ([Notice(*row) for row in db.execute(query)], _unread(db, owner)))

    async def notices_after(self, owner: str, place: int, limit: int) -> tuple[list[Notice], int]:
        """The newest ones after a place, in order; and how many of all are unread."""
        query = sa.select(*_SHOWN).where(NOTICES.c.owner == owner, NOTICES.c.place > place)
        query = query.order_by(NOTICES.c.place.desc()).limit(limit)
        newest, unread = await self._read(
            lambda db: ([Notice(*row) for row in db.execute(query)], _unread(db, owner)),
        )
        return newest[::-1], unread

    async def place(self, owner: str, notice_id: str) -> int | None:
        """Where a notice of this owner stands; None: there is no such one."""
        query = sa.select(NOTICES.c.place).where(NOTICES.c.owner == owner, NOTICES.c.id == notice_id)
        return await self._read(lambda db: db.execute(query).scalar())

    async def last_place(self) -> int:
        """The place of the newest notice of all; 0 if there is none."""
        return await self._read(lambda db: db.execute(sa.select(sa.func.max(NOTICES.c.place))).scalar() or 0)

    async def owners_after(self, place: int) -> tuple[set[str], int]:
        """Who got notices after a place, and the last place that was looked at."""
        query = sa.select(NOTICES.c.owner, NOTICES.c.place).where(NOTICES.c.place > place)
        rows = await self._read(lambda db: db.execute(query.order_by(NOTICES.c.place).limit(1_000)).all())
        return {row.owner for row in rows}, rows[-1].place if rows else place

    async def mark(self, owner: str, notice_id: str, read_at: int | None) -> Notice | None:
        """Read since, or unread again (None). One that was read stays read since then. None: there is no such one."""
        mine = sa.and_(NOTICES.c.owner == owner, NOTICES.c.id == notice_id)
        change = NOTICES.update().where(mine).values(read_at=read_at)
        if read_at is not None:
            change = change.where(NOTICES.c.read_at.is_(None))

        def work(db: sa.Connection) -> Notice | None:
            db.execute(change)
            row = db.execute(sa.select(*_SHOWN).where(mine)).first()
            return None if row is None else Notice(*row)

        return await self._writes.run(work)

    async def mark_all(self, owner: str, read_at: int, up_to: int | None) -> int:
        """All of an owner's, or those up to a place, are read; answers how many are unread now."""
        change = NOTICES.update().where(NOTICES.c.owner == owner, NOTICES.c.read_at.is_(None)).values(read_at=read_at)
        if up_to is not None:
            change = change.where(NOTICES.c.place <= up_to)

        def work(db: sa.Connection) -> int:
            db.execute(change)
            return _unread(db, owner)

        return await self._writes.run(work)

    async def forget_notices(self, before: int) -> int:
        """Deletes notices made before a time; answers how many."""
        return await self._writes.run(
            lambda db: db.execute(NOTICES.delete().where(NOTICES.c.created_at < before)).rowcount
        )

    # Preferences

    async def turned_off(self, owner: str) -> set[tuple[str, str]]:
        """What an owner does not want: kinds and channels."""
        query = sa.select(TURNED_OFF.c.kind, TURNED_OFF.c.channel).where(TURNED_OFF.c.owner == owner)
        return await self._read(lambda db: {(row.kind, row.channel) for row in db.execute(query)})

    async def turned_on(self, owner: str) -> set[tuple[str, str]]:
        """What an owner asked for of what nobody gets who did not: kinds and channels."""
        query = sa.select(TURNED_ON.c.kind, TURNED_ON.c.channel).where(TURNED_ON.c.owner == owner)
        return await self._read(lambda db: {(row.kind, row.channel) for row in db.execute(query)})

    async def turn_off(
        self, owner: str, unwanted: Collection[tuple[str, str]], asked_for: Collection[tuple[str, str]] = ()
    ) -> None:
        """These, and no others any more. An erased person's are not kept."""
        given = ((TURNED_OFF, unwanted), (TURNED_ON, asked_for))

        def work(db: sa.Connection) -> None:
            for table, pairs in given:
                db.execute(table.delete().where(table.c.owner == owner))
                insert_missing(
                    db, table, [{"owner": owner, "kind": kind, "channel": channel} for kind, channel in pairs]
                )
            if _erased(db, owner):
                _forget_preferences(db, owner)

        await self._writes.run(work)

    # Erasure

    async def erase_owner(self, owner: str, now: int, orders: Sequence[str] = ()) -> int:
        """Deletes a person's notices and preferences, and takes none any more; answers how many notices went.

        `orders`: theirs, by now; of a guest's that joined an account, notices stand under the guest's name.
        Rows of mails and texts stay, with ids only: they keep a repeated event from being told again.
        """

        whose = [NOTICES.c.owner == owner]
        whose += [NOTICES.c.order_id.in_(orders[at : at + _AT_ONCE]) for at in range(0, len(orders), _AT_ONCE)]

        def work(db: sa.Connection) -> int:
            insert_missing(db, ERASED, [{"owner": one, "erased_at": now} for one in (owner, *map(_of_order, orders))])
            _forget_preferences(db, owner)
            return sum(db.execute(NOTICES.delete().where(where)).rowcount for where in whose)

        return await self._writes.run(work)


def _mail_is_off(db: sa.Connection, mail: NewMail) -> bool:
    return _IS_OFF(db, (mail.owner, mail.template, "mail")).first() is not None


def _text_is_not_on(db: sa.Connection, text: NewMail) -> bool:
    return _IS_ON(db, (text.owner, text.template, "text")).first() is None


def _add_notice(db: sa.Connection, notice: NewNotice, optional: bool) -> None:
    if optional and _IS_OFF(db, (notice.owner, notice.kind, "notice")).first() is not None:
        return
    first = next_place(db)
    insert_missing(db, NOTICES, [notice._asdict() if first is None else {**notice._asdict(), "place": first}])
    if _erased(db, notice.owner, _of_order(notice.order_id)):
        db.execute(NOTICES.delete().where(NOTICES.c.id == notice.id))


def _erased(db: sa.Connection, *owners: str) -> bool:
    """Waits for an erasure that is under way. To be asked after something was written: a later one deletes that."""
    found = sa.select(ERASED.c.owner).where(ERASED.c.owner.in_(owners)).limit(1)
    return db.execute(found.with_for_update(read=True)).first() is not None


def _forget_preferences(db: sa.Connection, owner: str) -> None:
    for table in (TURNED_OFF, TURNED_ON):
        db.execute(table.delete().where(table.c.owner == owner))


def _of_order(order_id: str) -> str:
    """As whose an order's notices are erased that are a guest's."""
    return f"order:{order_id}"


def _unread(db: sa.Connection, owner: str) -> int:
    unread = sa.select(sa.func.count()).where(NOTICES.c.owner == owner, NOTICES.c.read_at.is_(None))
    return int(db.execute(unread).scalar_one())
