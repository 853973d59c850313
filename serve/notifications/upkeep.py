"""What nobody asks for and somebody must do: personal data that nobody needs any more is deleted, now and then."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock, Entities
from serve.orders.store import Unlisted

FIRST_SECONDS = 60.0
"""After a start; then others have what the machine gives."""
EVERY_SECONDS = 6 * 3600.0
DEADLINE_SECONDS = 300.0
"""Of one round. What is left then is done in the next."""
UNUSED_DAYS = 7
"""Age of a contact without an order that is deleted: a checkout that hung for so long comes to nothing."""
MAIL_DAYS = 90
"""Age of a mail in the folder that is deleted. That it was sent stays known."""
NOTICE_DAYS = 365
"""Age of a notice that is deleted, read or not."""
SUPPRESSED_DAYS = 365
"""How long an address that bounced or complained is off; then it is tried again, and perhaps is off again."""
INBOX_DAYS = 7
"""How long a notification is known: well beyond the age at which it is refused."""
DAY_MS = 24 * 3_600_000
CONTACTS_AT_ONCE = 100
ASK_SECONDS = 10.0

log = logging.getLogger("troupe.mails")


class ContactRows(Protocol):
    async def unlisted_contacts(self, before: int, after: str, limit: int) -> list[Unlisted]: ...

    async def drop_contacts(self, contact_ids: Sequence[str]) -> None: ...


class OldMails(Protocol):
    async def forget(self, before: int) -> int: ...


class OldNotices(Protocol):
    async def forget_notices(self, before: int) -> int: ...


class OldSuppressions(Protocol):
    async def forget(self, before: int, notifications_before: int) -> int: ...


class Upkeep:
    """Runs until it is cancelled; what fails is tried again in the next round."""

    def __init__(
        self,
        entities: Entities,
        rows: ContactRows,
        mails: OldMails,
        notices: OldNotices,
        suppressions: OldSuppressions,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._entities = entities
        self._rows = rows
        self._mails = mails
        self._notices = notices
        self._suppressions = suppressions
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        """A round from time to time, for ever."""
        pause = FIRST_SECONDS
        while True:
            await self._clock.sleep(pause)
            pause = EVERY_SECONDS
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self.once()
            except Exception:
                log.warning("upkeep was not finished", exc_info=True)

    async def once(self) -> None:
        """One round."""
        now = self._clock.wall()
        contacts = await self._drop_unused_contacts(now - UNUSED_DAYS * DAY_MS)
        mails = await self._mails.forget(now - MAIL_DAYS * DAY_MS)
        notices = await self._notices.forget_notices(now - NOTICE_DAYS * DAY_MS)
        tried_again = await self._suppressions.forget(now - SUPPRESSED_DAYS * DAY_MS, now - INBOX_DAYS * DAY_MS)
        if contacts or mails or notices or tried_again:
            log.info(
                "upkeep: deleted %d contacts without an order, %d old mails, %d old notices, %d old suppressions",
                contacts,
                mails,
                notices,
                tried_again,
            )

    async def _drop_unused_contacts(self, before: int) -> int:
        """Asks the order itself of each contact whose order isn't listed: the list may be behind, or being rebuilt."""
        dropped, after = 0, ""
        while some := await self._rows.unlisted_contacts(before, after, CONTACTS_AT_ONCE):
            unused = [one.id for one in some if not await self._exists(one.order_id)]
            await self._rows.drop_contacts(unused)
            dropped += len(unused)
            after = some[-1].id
        return dropped

    async def _exists(self, order_id: str) -> bool:
        return (await self._entities.read("order", order_id, seconds=ASK_SECONDS)).version > 0
