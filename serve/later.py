"""The flows that nobody waits for. They run where mails are sent, so that they take nothing from checkouts."""

from sqlalchemy import Engine

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Entities
from pipelines.count_orders import count_orders
from pipelines.erase_people import Forgetting, erase_people
from pipelines.join_guest_orders import Joining, join_guest_orders
from pipelines.keep_transactions import keep_transactions
from pipelines.running import Logs
from pipelines.show_activity import show_activity
from serve.notifications.erasing import MailErasure
from serve.notifications.mailer import FolderMailer
from serve.notifications.store import NotificationStore
from serve.opened import Opened
from serve.orders.store import OrderStore
from serve.payments.transactions import TransactionStore
from serve.settings import Settings
from serve.users.activity import Activity
from serve.users.people import People


class LaterFlows:
    """Over logs and stores that are its owner's to close."""

    def __init__(
        self, settings: Settings, users: Engine, orders: OrderStore, notes: NotificationStore, folder: FolderMailer
    ) -> None:
        self._settings = settings
        self._users = users
        self._orders = orders
        self._erasure = MailErasure(notes, folder)
        self._opened = Opened()

    async def start(self, entities: Entities, events: Logs) -> None:
        """A start that fails leaves nothing open."""
        people = People(self._users)
        forgetting = Forgetting(self._orders, self._erasure, people)
        joining = Joining(entities, people, self._orders, forgetting)
        async with Opened() as opened:
            opened.closing(people)
            transactions = opened.closing(TransactionStore(self._settings.database_url("payments")))
            activity = opened.closing(Activity(self._users))
            await opened.running(events.run(keep_transactions(transactions)))
            await opened.running(events.run(count_orders(activity, joining)))
            await opened.running(events.run(show_activity(activity)))
            await opened.running(events.run(join_guest_orders(joining)))
            await opened.running(events.run(erase_people(forgetting, SystemClock())))
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()
