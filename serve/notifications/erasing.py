"""Mails and notices of a person who is to be forgotten: they go; that something was mailed stays known, by ids."""

import asyncio
from collections.abc import Sequence

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from serve.notifications.mailer import FolderMailer
from serve.notifications.recorded import BeingSent
from serve.notifications.store import NotificationStore


class MailErasure:
    """Implements `ErasesMails` of the flow erase_people."""

    def __init__(self, store: NotificationStore, folder: FolderMailer, *, clock: Clock | None = None) -> None:
        """`folder`: where mails are written to, or were before the shop had a server."""
        self._store = store
        self._folder = folder
        self._clock = clock or SystemClock()

    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        """Deletes an owner's notices and preferences, notices about these orders, and of mails of both the files and
        that their addresses are off.

        Raises BeingSent.
        """
        await self._store.erase_owner(owner, self._clock.wall(), orders)
        now = self._clock.wall()
        mails = await self._store.mails_of(owner, orders)
        await self._store.suppressed.forget_of([mail.message_id for mail in mails])
        for mail in mails:
            if mail.busy_until > now:
                raise BeingSent(mail.message_id)
            await asyncio.to_thread(self._folder.path(mail.message_id).unlink, missing_ok=True)
