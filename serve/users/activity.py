"""What happened to an account, for its owner to look at: a read model of the users' and the orders' events."""

import asyncio
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pipelines.show_activity import ORDER_CONFIRMED, Note
from pipelines.sql.words import insert_missing
from serve.databases import SharedTransactions
from serve.users.account_tables import activity
from serve.users.schemas import ActivityItem, LastOrder
from serve.users.tables import create, users


class Ordered(NamedTuple):
    """How many orders of an account were confirmed, and the last one."""

    orders: int
    last: LastOrder | None


class Activity:
    """Implements `KeepsActivity` of the flows."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        create(engine.execution_options(writes=True))
        # Each confirmed order is noted: those that come together share a commit.
        self._notes = SharedTransactions(engine, "activity-write")

    async def close(self) -> None:
        """Waits for what is being noted. Nothing can be noted after it."""
        await self._notes.close()

    async def note(self, note: Note) -> None:
        """Once by the note's id. Of an account that is gone nothing is noted."""
        await self._notes.run(lambda connection: _note(connection, note))

    async def page(self, user_id: str, before: tuple[int, str] | None, limit: int) -> list[ActivityItem]:
        """Newest first, at most `limit`, behind the place `before` (at, id)."""
        return await asyncio.to_thread(self._page, user_id, before, limit)

    async def ordered(self, user_id: str) -> Ordered:
        return await asyncio.to_thread(self._ordered, user_id)

    def _page(self, user_id: str, before: tuple[int, str] | None, limit: int) -> list[ActivityItem]:
        query = sa.select(activity).where(activity.c.user_id == user_id)
        if before is not None:
            at, note_id = before
            older = sa.and_(activity.c.at == at, activity.c.id < note_id)
            query = query.where(sa.or_(activity.c.at < at, older))
        query = query.order_by(activity.c.at.desc(), activity.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [
                ActivityItem(id=row.id, at=row.at, what=row.what, about=msgspec.json.decode(row.about))
                for row in connection.execute(query)
            ]

    def _ordered(self, user_id: str) -> Ordered:
        mine = sa.and_(activity.c.user_id == user_id, activity.c.what == ORDER_CONFIRMED)
        newest = sa.select(activity.c.about, activity.c.at).where(mine).order_by(activity.c.at.desc()).limit(1)
        with self._engine.connect() as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(activity).where(mine)).scalar_one()
            last = connection.execute(newest).first()
        if last is None:
            return Ordered(count, None)
        return Ordered(count, LastOrder(id=msgspec.json.decode(last.about)["order"], at=last.at))


def _note(connection: sa.Connection, note: Note) -> None:
    there = sa.select(users.c.id).where(users.c.id == note.user_id, users.c.deleted_at.is_(None))
    # Whoever erases the account waits, and then finds the note.
    if connection.execute(there.with_for_update(read=True)).first() is None:
        return
    insert_missing(connection, activity, [row_of(note)])


def row_of(note: Note) -> dict[str, Any]:
    about = msgspec.json.encode(note.about).decode()
    return {"id": note.id, "user_id": note.user_id, "at": note.at, "what": note.what, "about": about}
