"""Mails and notices of a person who is to be forgotten: they go; that something was mailed stays known, by ids."""

import asyncio
from collections.abc import Sequence

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from serve.notifications.mail_channel import BeingSent
from serve.notifications.mailer import FolderMailer
from serve.notifications.store import NotificationStore


class MailErasure:
    """Implements `ErasesMails` of the flow erase_people."""

    def __init__(self, store: NotificationStore, mailer: FolderMailer, *, clock: Clock | None = None) -> None:
        self._store = store
        self._mailer = mailer
        self._clock = clock or SystemClock()

    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        """Deletes an owner's notices and preferences, notices about these orders, and the files of mails of both.

        Raises BeingSent.
        """
        await self._store.erase_owner(owner, self._clock.wall(), orders)
        now = self._clock.wall()
        for mail in await self._store.mails_of(owner, orders):
            if mail.busy_until > now:
                raise BeingSent(mail.message_id)
            await asyncio.to_thread(self._mailer.path(mail.message_id).unlink, missing_ok=True)
