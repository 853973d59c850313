"""Addresses that are not written to, since a mail to them came back for good or was complained about.

No address stands here: a digest does, which tells only who already knows an address whether it is among them.
"""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

import sqlalchemy as sa

from pipelines.gathering import looked_up
from pipelines.sql.words import insert_missing
from serve.databases import SharedTransactions
from serve.notifications.tables import ERASED, MAILS, SNS_INBOX, SUPPRESSED

Reason = Literal["bounce", "complaint"]
_AT_ONCE = 200


class Suppressed(NamedTuple):
    """`id`: what stands for the address. `owner`, `order_id`: of the mail that came back; empty if it is not known."""

    id: str
    reason: Reason
    at: int
    owner: str
    order_id: str


def digest(address: str) -> str:
    """What stands for an address, whoever writes it in whichever case."""
    return blake2b(address.strip().lower().encode(), digest_size=16, person=b"troupe-address").hexdigest()


class Suppressions:
    """Over its owner's database. Times are UTC in milliseconds."""

    def __init__(self, reading: sa.Engine, writes: SharedTransactions) -> None:
        self._reading = reading
        self._writes = writes
        self._off = looked_up(self._find)

    async def close(self) -> None:
        """Waits for what is being looked up."""
        await self._off.close()

    async def has(self, address: str) -> bool:
        return await self._off.add(digest(address)) is not None

    async def _find(self, digests: list[str]) -> dict[str, int]:
        # Each mail asks.
        query = sa.select(SUPPRESSED.c.address, SUPPRESSED.c.at).where(SUPPRESSED.c.address.in_(set(digests)))

        def look() -> dict[str, int]:
            with self._reading.begin() as db:
                return {row.address: row.at for row in db.execute(query)}

        return await asyncio.to_thread(look)

    async def knows(self, notification: str) -> bool:
        """Whether a notification was dealt with."""
        query = sa.select(SNS_INBOX.c.at).where(SNS_INBOX.c.id == notification)

        def look() -> bool:
            with self._reading.begin() as db:
                return db.execute(query).first() is not None

        return await asyncio.to_thread(look)

    async def add(self, notification: str, addresses: Sequence[str], reason: Reason, message_id: str, now: int) -> bool:
        """A notification's addresses are off, in one transaction with that it was dealt with; False: it had been.

        Nothing is kept of a person who was erased meanwhile. An address that is off already keeps its reason, but for a
        complaint, which says more than a bounce.
        """
        rows = [
            {"address": digest(one), "reason": reason, "message_id": message_id, "at": now}
            for one in sorted(set(addresses))
        ]

        def work(db: sa.Connection) -> bool:
            if db.execute(sa.select(SNS_INBOX.c.at).where(SNS_INBOX.c.id == notification)).first() is not None:
                return False
            insert_missing(db, SNS_INBOX, [{"id": notification, "at": now}])
            if _is_of_nobody(db, message_id):
                return True
            insert_missing(db, SUPPRESSED, rows)
            if reason == "complaint":
                found = SUPPRESSED.c.address.in_([row["address"] for row in rows])
                db.execute(SUPPRESSED.update().where(found).values(reason=reason))
            return True

        return await self._writes.run(work)

    async def page(self, after: tuple[int, str] | None, limit: int) -> list[Suppressed]:
        """Newest first, those behind a row's time and id."""
        columns = SUPPRESSED.c
        owner, order_id = (sa.func.coalesce(MAILS.c[name], "") for name in ("owner", "order_id"))
        query = (
            sa.select(columns.address, columns.reason, columns.at, owner, order_id)
            .select_from(SUPPRESSED.outerjoin(MAILS, MAILS.c.message_id == columns.message_id))
            .order_by(columns.at.desc(), columns.address)
            .limit(limit)
        )
        if after is not None:
            at, address = after
            query = query.where(sa.or_(columns.at < at, sa.and_(columns.at == at, columns.address > address)))

        def look() -> list[Suppressed]:
            with self._reading.begin() as db:
                return [Suppressed(*row) for row in db.execute(query)]

        return await asyncio.to_thread(look)

    async def lift(self, suppressed_id: str) -> bool:
        """The address is written to again; False: it was not off."""
        where = SUPPRESSED.c.address == suppressed_id
        return await self._writes.run(lambda db: db.execute(SUPPRESSED.delete().where(where)).rowcount > 0)

    async def forget_of(self, message_ids: Sequence[str]) -> None:
        """Those that these mails led to: their person is erased."""

        def work(db: sa.Connection) -> None:
            for at in range(0, len(message_ids), _AT_ONCE):
                some = message_ids[at : at + _AT_ONCE]
                db.execute(SUPPRESSED.delete().where(SUPPRESSED.c.message_id.in_(some)))

        await self._writes.run(work)

    async def forget(self, before: int, notifications_before: int) -> int:
        """Deletes those from before a time, and what is known of notifications before another; answers how many."""

        def work(db: sa.Connection) -> int:
            db.execute(SNS_INBOX.delete().where(SNS_INBOX.c.at < notifications_before))
            return db.execute(SUPPRESSED.delete().where(SUPPRESSED.c.at < before)).rowcount

        return await self._writes.run(work)


def _is_of_nobody(db: sa.Connection, message_id: str) -> bool:
    """Whether the person that this mail went to was erased."""
    mail = db.execute(sa.select(MAILS.c.owner, MAILS.c.order_id).where(MAILS.c.message_id == message_id)).first()
    if mail is None:
        return False
    names = (mail.owner, f"order:{mail.order_id}")
    return db.execute(sa.select(ERASED.c.owner).where(ERASED.c.owner.in_(names)).limit(1)).first() is not None
