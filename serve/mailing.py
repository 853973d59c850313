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
from pipelines.log.sql import JournalLog
from pipelines.progress import SqlProgress
from pipelines.runner import FlowRunner
from pipelines.send_mails import send_mails
from serve.catalog.search.indexing import STOCK_LOOK_EVERY, Indexing
from serve.gateway import logs
from serve.notifications.contacts import OrderContacts
from serve.notifications.mailer import FolderMailer, Mailer
from serve.notifications.mails import Sender
from serve.notifications.service import Notifications
from serve.notifications.store import NotificationStore
from serve.notifications.upkeep import Upkeep
from serve.orders.store import OrderStore
from serve.settings import Settings
from serve.users.store import Store as UserStore
from serve.users.store import open_engine

SHOP_NAME = "Troupe"
SENDER_EMAIL = "orders@shop.example"
LOOK_EVERY = 0.25


def notifications_of(
    settings: Settings, orders: OrderStore, users: UserStore, mailer: Mailer | None = None
) -> Notifications:
    """`mailer`: the folder of the settings, unless another is given."""

    async def account_email(user_id: str) -> str | None:
        found = await asyncio.to_thread(users.by_id, user_id)
        return None if found is None else found.email

    sender = Sender(SHOP_NAME, SENDER_EMAIL, settings.url)
    store = NotificationStore(f"sqlite:///{settings.database('notifications')}")
    return Notifications(store, mailer or FolderMailer(settings.mails), OrderContacts(orders, account_email), sender)


class Mailing:
    """The mail flow over its own reading of the journal, and the upkeep of what mails need."""

    def __init__(self, settings: Settings, journal: SqlJournal) -> None:
        self._orders = OrderStore(f"sqlite:///{settings.database('orders')}")
        users = UserStore(open_engine(settings.database("users")))
        self._mails = FolderMailer(settings.mails)
        self._notifications = notifications_of(settings, self._orders, users, self._mails)
        self._progress = SqlProgress(f"sqlite:///{settings.database('flows')}")
        self._log = JournalLog(journal, look_every=LOOK_EVERY)
        self._indexing = Indexing(settings, JournalLog(journal, look_every=STOCK_LOOK_EVERY))
        self._runner: FlowRunner | None = None
        self._tasks = Tasks()

    async def start(self, entities: Entities) -> None:
        self._runner = FlowRunner(send_mails(entities, self._notifications), self._log, self._progress)
        await self._runner.start()
        await self._indexing.start()
        self._tasks.start(Upkeep(entities, self._orders, self._mails).run(), "upkeep")

    async def stop(self) -> None:
        await self._tasks.close()
        if self._runner is not None:
            await self._runner.stop()
            await self._indexing.stop()
        await self._mails.close()
        await self._notifications.close()
        await self._orders.close()


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
