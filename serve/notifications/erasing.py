"""Mails and notices of a person who is to be forgotten: they go; that something was mailed stays known, by ids."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import sqlalchemy as sa

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from serve.databases import open_engine
from serve.notifications.mail_channel import BeingSent
from serve.notifications.mailer import FolderMailer
from serve.notifications.store import NotificationStore
from serve.notifications.tables import MAILS

_AT_ONCE = 200


class MailErasure:
    """Implements `ErasesMails` of the flow erase_people. `url`: of the notifications' database."""

    def __init__(self, url: str, mailer: FolderMailer, *, clock: Clock | None = None) -> None:
        self._engine = open_engine(url, MAILS.metadata, 1).execution_options(writes=False)
        self._store = NotificationStore(url)
        self._mailer = mailer
        self._clock = clock or SystemClock()

    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        """Deletes an owner's notices and preferences, and the files of mails to them and about these orders.

        Raises BeingSent.
        """
        await self._store.erase_owner(owner, self._clock.wall())
        await asyncio.to_thread(self._erase, owner, orders)

    async def close(self) -> None:
        await self._store.close()
        await asyncio.to_thread(self._engine.dispose)

    def _erase(self, owner: str, orders: Sequence[str]) -> None:
        whose = [MAILS.c.owner == owner]
        whose += [MAILS.c.order_id.in_(orders[at : at + _AT_ONCE]) for at in range(0, len(orders), _AT_ONCE)]
        now = self._clock.wall()
        for where in whose:
            query = sa.select(MAILS.c.message_id, MAILS.c.outcome, MAILS.c.sender, MAILS.c.ends_at).where(where)
            with self._engine.begin() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                if row.outcome is None and row.sender is not None and row.ends_at > now:
                    raise BeingSent(row.message_id)
                with suppress(FileNotFoundError):
                    self._mailer.path(row.message_id).unlink()
