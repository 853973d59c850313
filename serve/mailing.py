"""Mail goes out from a process of its own: composing it takes time that checkouts need more."""

import asyncio
import os
import secrets
from collections.abc import Mapping

from actors.journal.base import Journal
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
from pipelines.relay_outbox import OutboxRelay
from pipelines.send_mails import send_mails
from serve.catalog.search.indexing import STOCK_LOOK_EVERY, Indexing
from serve.event_logs import logs_of, publisher_of
from serve.gateway import logs
from serve.journals import sql_journal
from serve.later import LaterFlows
from serve.notifications.channels import Channel
from serve.notifications.choosing import mailer_of, texter_of
from serve.notifications.contacts import Directory
from serve.notifications.kinds import ChannelName
from serve.notifications.mail_channel import MailChannel
from serve.notifications.mailer import FolderMailer, Mailer
from serve.notifications.mails import Sender
from serve.notifications.notices import NoticeChannel, Notices
from serve.notifications.service import Notifications
from serve.notifications.store import NotificationStore
from serve.notifications.text_channel import TextChannel
from serve.notifications.upkeep import Upkeep
from serve.opened import Opened
from serve.orders.store import OrderStore
from serve.self_starting import SelfStarting
from serve.settings import Settings
from serve.users.mailed import MailedPeople
from serve.users.store import open_engine
from serve.users.tables import outbox

LOOK_EVERY = 0.25


def notices_of(settings: Settings) -> Notices:
    """What people are shown of what happened, for the process that answers them."""
    return Notices(_store_of(settings), language=settings.language, texts=bool(settings.texts_url))


def _store_of(settings: Settings) -> NotificationStore:
    return NotificationStore(settings.database_url("notifications"))


class Mailing:
    """The flows that tell people what happened, over their own reading of the logs, and the upkeep that this needs."""

    def __init__(self, settings: Settings, journal: Journal | None) -> None:
        """`journal`: the event log, unless there is Kafka; its owner's to close."""
        self._settings = settings
        self._journal = journal
        self._opened = Opened()

    async def start(self, entities: Entities) -> None:
        """A start that fails leaves nothing open."""
        settings, journal, file = self._settings, self._journal, self._settings.database("journal")
        async with Opened() as opened:
            users = open_engine(settings.database_url("users"))
            opened.push_async_callback(asyncio.to_thread, users.dispose)
            orders = opened.closing(OrderStore(settings.database_url("orders")))
            store = opened.closing(_store_of(settings))
            folder = opened.closing(FolderMailer(settings.mails))
            progress = opened.closing(SqlProgress(settings.database_url("flows")))
            told = JournalLog(journal, look_every=LOOK_EVERY, file=file) if journal is not None else None
            events = logs_of(settings, opened, progress, told, OutboxLog(users, outbox, look_every=LOOK_EVERY))
            people = MailedPeople(users, settings.url)
            notifications = _notifications(settings, orders, people, store, folder, opened)
            await opened.running(events.run(send_mails(entities, notifications)))
            await opened.running(events.run(notify_users(notifications, people)))
            later = LaterFlows(settings, users, orders, store, folder)
            await later.start(entities, events)
            opened.push_async_callback(later.stop)
            stock_told = JournalLog(journal, look_every=STOCK_LOOK_EVERY, file=file) if journal is not None else None
            await opened.running(Indexing(settings, stock_told))
            publisher = publisher_of(settings)
            if publisher is not None:
                await opened.running(OutboxRelay("users", OutboxLog(users, outbox), opened.closing(publisher)))
            opened.closing(Tasks()).start(Upkeep(entities, orders, folder, store, store.suppressed).run(), "upkeep")
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()


def _notifications(
    settings: Settings,
    orders: OrderStore,
    people: MailedPeople,
    store: NotificationStore,
    folder: FolderMailer,
    opened: Opened,
) -> Notifications:
    """`opened` closes what is opened here."""
    directory = Directory(orders, people.person, settings.url, link=people.link, access_token=orders.access_token)
    sender = Sender(settings.seller_name, settings.mail_from, settings.url, settings.language)
    mailer, texter = mailer_of(settings, folder), texter_of(settings)
    if mailer is not folder:
        opened.closing(mailer)
    name = secrets.token_hex(8)  # one for both, by which an audit sees that who sent a mail had texts, too
    mail = MailChannel(store, mailer, directory, sender, new_owner=lambda: name)
    opened.closing(Tasks()).start(_heed(mailer, mail), "mail-limit")
    channels: dict[ChannelName, Channel] = {"mail": mail, "notice": NoticeChannel(store)}
    if texter is not None:
        texts = opened.closing(texter)
        shop, language = settings.seller_name, settings.language
        channels["text"] = TextChannel(store, texts, directory, shop, language, new_owner=lambda: name)
    return Notifications(channels)


async def _heed(mailer: Mailer, channel: MailChannel) -> None:
    """Asked beside the start, which does not wait for it."""
    if (allowed := await mailer.most_per_second()) is not None:
        channel.pace.at_most(allowed)


class MailsActor:
    """The mail flow as a Ray actor; it goes on where it was after any restart."""

    def __init__(self, packed: Mapping[str, str]) -> None:
        # Mail can wait when the machine is busy.
        os.nice(10)
        self._settings = Settings.unpacked(packed)
        self._work = SelfStarting("mails", self._begin)

    async def start(self) -> None:
        """Returns once it runs. Raises what its first try to begin failed with."""
        await self._work.begun()

    async def _begin(self, opened: Opened) -> None:
        settings = self._settings
        logs.configure(settings.log_level)
        journal = None if settings.kafka_servers else opened.closing(sql_journal(settings))
        way = RayWay(opened.closing(Tasks()))
        await way.start()
        mailing = Mailing(settings, journal)
        await mailing.start(Region(KINDS, way, SystemClock(), SystemEntropy(), settings.shards))
        opened.push_async_callback(mailing.stop)

    async def stop(self) -> None:
        """As `Mailing.stop`."""
        await self._work.stop()
