"""The flows that nobody waits for. They run where mails are sent, so that they take nothing from checkouts."""

from sqlalchemy import Engine

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Entities
from pipelines.count_orders import count_orders
from pipelines.erase_people import Forgetting, erase_people
from pipelines.join_guest_orders import Joining, join_guest_orders
from pipelines.keep_transactions import keep_transactions
from pipelines.log.base import EventLog
from pipelines.progress import SqlProgress
from pipelines.runner import FlowRunner
from pipelines.show_activity import show_activity
from serve.notifications.erasing import MailErasure
from serve.notifications.mailer import FolderMailer
from serve.notifications.store import NotificationStore
from serve.orders.store import OrderStore
from serve.payments.transactions import TransactionStore
from serve.settings import Settings
from serve.users.activity import Activity
from serve.users.people import People


class LaterFlows:
    """Over logs, a progress and stores that are its owner's to close."""

    def __init__(
        self, settings: Settings, users: Engine, orders: OrderStore, notes: NotificationStore, mails: FolderMailer
    ) -> None:
        self._orders = orders
        self._transactions = TransactionStore(settings.database_url("payments"))
        self._people, self._activity = People(users), Activity(users)
        self._erasure = MailErasure(notes, mails)
        self._runners: list[FlowRunner] = []

    async def start(self, entities: Entities, journal: EventLog, users: EventLog, progress: SqlProgress) -> None:
        forgetting = Forgetting(self._orders, self._erasure, self._people)
        joining = Joining(entities, self._people, self._orders, forgetting)
        self._runners = [
            FlowRunner(keep_transactions(self._transactions), journal, progress),
            FlowRunner(count_orders(self._activity, joining), journal, progress),
            FlowRunner(show_activity(self._activity), users, progress),
            FlowRunner(join_guest_orders(joining), users, progress),
            FlowRunner(erase_people(forgetting, SystemClock()), users, progress),
        ]
        for runner in self._runners:
            await runner.start()

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.stop()
        await self._activity.close()
        await self._transactions.close()
