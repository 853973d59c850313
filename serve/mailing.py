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
from serve.opened import Opened
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
        self._settings = settings
        self._journal = journal
        self._opened = Opened()

    async def start(self, entities: Entities) -> None:
        """A start that fails leaves nothing open."""
        settings, journal, file = self._settings, self._journal, self._settings.database("journal")
        async with Opened() as opened:
            users = open_engine(settings.database("users"))
            opened.push_async_callback(asyncio.to_thread, users.dispose)
            orders = opened.closing(OrderStore(settings.database_url("orders")))
            store = opened.closing(_store_of(settings))
            mails = opened.closing(FolderMailer(settings.mails))
            progress = opened.closing(SqlProgress(settings.database_url("flows")))
            log = opened.closing(SharedLog(JournalLog(journal, look_every=LOOK_EVERY, file=file)))
            users_log = opened.closing(SharedLog(OutboxLog(users, outbox, look_every=LOOK_EVERY)))
            people = MailedPeople(users, settings.url)
            notifications = _notifications(settings, orders, people, store, mails)
            await opened.running(FlowRunner(send_mails(entities, notifications), log, progress))
            await opened.running(FlowRunner(notify_users(notifications, people), users_log, progress))
            later = LaterFlows(settings, users, orders, store, mails)
            await later.start(entities, log, users_log, progress)
            opened.push_async_callback(later.stop)
            await opened.running(Indexing(settings, JournalLog(journal, look_every=STOCK_LOOK_EVERY, file=file)))
            opened.closing(Tasks()).start(Upkeep(entities, orders, mails, store).run(), "upkeep")
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()


def _notifications(
    settings: Settings, orders: OrderStore, people: MailedPeople, store: NotificationStore, mails: FolderMailer
) -> Notifications:
    directory = Directory(orders, people.person, settings.url, link=people.link, access_token=orders.access_token)
    sender = Sender(settings.seller_name, SENDER_EMAIL, settings.url, settings.language)
    mail = MailChannel(store, mails, directory, sender)
    return Notifications({"mail": mail, "notice": NoticeChannel(store)})


class MailsActor:
    """The mail flow as a Ray actor; it goes on where it was after any restart."""

    def __init__(self, packed: Mapping[str, str]) -> None:
        # Mail can wait when the machine is busy.
        os.nice(10)
        self._settings = Settings.unpacked(packed)
        self._running: asyncio.Task[None] | None = None
        self._opened = Opened()

    async def start(self) -> None:
        """Whoever calls first starts it; later calls wait for the same start."""
        if self._running is None or (self._running.done() and self._running.exception() is not None):
            self._running = asyncio.create_task(self._start())
        await asyncio.shield(self._running)

    async def _start(self) -> None:
        logs.configure(self._settings.log_level)
        # A start that fails leaves nothing that would go on beside the next one.
        async with Opened() as opened:
            journal = opened.closing(SqlJournal(str(self._settings.database("journal"))))
            way = RayWay(opened.closing(Tasks()))
            await way.start()
            mailing = Mailing(self._settings, journal)
            await mailing.start(Region(KINDS, way, SystemClock(), SystemEntropy(), self._settings.shards))
            opened.push_async_callback(mailing.stop)
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """As `Mailing.stop`."""
        await self._opened.aclose()
