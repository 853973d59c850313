"""Mail goes out from a process of its own: composing it takes time that checkouts need more."""

import asyncio
import os
from collections.abc import Mapping

from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.on_ray.way import RayWay
from actors.runtime.ports import Entities
from actors.runtime.region import Region
from actors.runtime.tasks import Tasks
from pipelines.log.outbox import OutboxLog
from pipelines.log.sql import JournalLog
from pipelines.notify_users import notify_users
from pipelines.progress import SqlProgress
from pipelines.runner import FlowRunner
from pipelines.send_mails import send_mails
from pipelines.shared_log import SharedLog
from serve.catalog.search.indexing import STOCK_LOOK_EVERY, Indexing
from serve.gateway import logs
from serve.later import LaterFlows
from serve.notifications.contacts import Directory
from serve.notifications.mail_channel import MailChannel
from serve.notifications.mailer import FolderMailer
from serve.notifications.mails import Sender
from serve.notifications.notices import NoticeChannel, Notices
from serve.notifications.service import Notifications
from serve.notifications.store import NotificationStore
from serve.notifications.upkeep import Upkeep
from serve.orders.store import OrderStore
from serve.settings import Settings
from serve.users.mailed import MailedPeople
from serve.users.store import open_engine
from serve.users.tables import outbox

SENDER_EMAIL = "orders@shop.example"
LOOK_EVERY = 0.25


def notices_of(settings: Settings) -> Notices:
    """What people are shown of what happened, for the process that answers them."""
    return Notices(_store_of(settings), language=settings.language)


def _store_of(settings: Settings) -> NotificationStore:
    return NotificationStore(settings.database_url("notifications"))


class Mailing:
    """The flows that tell people what happened, over their own reading of the logs, and the upkeep that this needs."""

    def __init__(self, settings: Settings, journal: SqlJournal) -> None:
        self._orders = OrderStore(settings.database_url("orders"))
        self._mails = FolderMailer(settings.mails)
        self._store = _store_of(settings)
        self._users = open_engine(settings.database_url("users"))
        self._people = MailedPeople(self._users, settings.url)
        directory = Directory(
            self._orders,
            self._people.person,
            settings.url,
            link=self._people.link,
            access_token=self._orders.access_token,
        )
        sender = Sender(settings.seller_name, SENDER_EMAIL, settings.url, settings.language)
        mail = MailChannel(self._store, self._mails, directory, sender)
        self.notifications = Notifications({"mail": mail, "notice": NoticeChannel(self._store)})
        self._progress = SqlProgress(settings.database_url("flows"))
        self._log = SharedLog(JournalLog(journal, look_every=LOOK_EVERY))
        self._users_log = SharedLog(OutboxLog(self._users, outbox, look_every=LOOK_EVERY))
        self._later = LaterFlows(settings, self._users, self._orders, self._store, self._mails)
        self._indexing = Indexing(settings, JournalLog(journal, look_every=STOCK_LOOK_EVERY))
        self._runners: list[FlowRunner] = []
        self._tasks = Tasks()

    async def start(self, entities: Entities) -> None:
        self._runners.append(FlowRunner(send_mails(entities, self.notifications), self._log, self._progress))
        self._runners.append(
            FlowRunner(notify_users(self.notifications, self._people), self._users_log, self._progress)
        )
        for runner in self._runners:
            await runner.start()
        await self._later.start(entities, self._log, self._users_log, self._progress)
        await self._indexing.start()
        self._tasks.start(Upkeep(entities, self._orders, self._mails, self._store).run(), "upkeep")

    async def stop(self) -> None:
        await self._tasks.close()
        for runner in self._runners:
            await runner.stop()
        await self._later.stop()
        await self._log.close()
        await self._users_log.close()
        await self._indexing.stop()
        await self._mails.close()
        await self._store.close()
        await self._orders.close()
        await asyncio.to_thread(self._users.dispose)


class MailsActor:
    """The mail flow as a Ray actor; it goes on where it was after any restart."""

    def __init__(self, packed: Mapping[str, str]) -> None:
        # Mail can wait when the machine is busy.
        os.nice(10)
        self._settings = Settings.unpacked(packed)
        self._running: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._mailing: Mailing | None = None
        self._journal: SqlJournal | None = None

    async def start(self) -> None:
        """Whoever calls first starts it; later calls wait for the same start."""
        if self._running is None or (self._running.done() and self._running.exception() is not None):
            self._running = asyncio.create_task(self._start())
        await asyncio.shield(self._running)

    async def _start(self) -> None:
        logs.configure(self._settings.log_level)
        if self._mailing is not None:
            # Of a start that failed: nothing of it may go on beside this one.
            await self._mailing.stop()
        if self._journal is not None:
            await self._journal.close()
        self._journal = SqlJournal(str(self._settings.database("journal")))
        clock, entropy = SystemClock(), SystemEntropy()
        way = RayWay(self._tasks)
        await way.start()
        self._mailing = Mailing(self._settings, self._journal)
        await self._mailing.start(Region(KINDS, way, clock, entropy, self._settings.shards))

    async def stop(self) -> None:
        if self._mailing is not None:
            await self._mailing.stop()
        await self._tasks.close()
        if self._journal is not None:
            await self._journal.close()
