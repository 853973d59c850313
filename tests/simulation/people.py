"""The users' service in memory: accounts, what happens to them in an outbox, and the activity page.

An act and its events are one transaction, as with the real outbox; positions become visible in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.decision import Message
from actors.runtime.wire import encode
from pipelines.events import users
from pipelines.log.base import Happened
from pipelines.notify_users import MailLink, Person
from pipelines.show_activity import Note
from tests.simulation.clock import EPOCH
from tests.simulation.database import Waiting, wake, woken
from tests.simulation.stores import Calls
from tests.simulation.world import World

SESSION_ENDS = 1.0
"""Seconds after an account's deletion within which the last of its sessions is refused."""


@dataclass
class Account:
    """`deleted_at`: seconds of virtual time."""

    id: str
    email: str
    version: int = 0
    confirmed: bool = False
    deleted_at: float | None = None

    @property
    def there(self) -> bool:
        return self.deleted_at is None


class Users:
    """Acts happen at one moment each. Implements KnowsAddresses, Scrubs, People and KeepsActivity of the flows.

    `outbox`: all that ever stood in it. `untold`: what is left of it where it is relayed, by position. `addresses`: of
    all accounts that ever were, for those who check.
    """

    def __init__(self, world: World, calls: Calls) -> None:
        self._world = world
        self._calls = calls
        self.accounts: dict[str, Account] = {}
        self.addresses: dict[str, str] = {}
        self.outbox: list[Happened] = []
        self.untold: dict[int, Happened] = {}
        self.activity: dict[str, Note] = {}
        self.told_of: dict[str, None] = {}
        self.waiting: Waiting = []

    # acts of people

    def register(self, user_id: str, email: str, *, confirmed: bool) -> bool:
        """False: somebody has the address."""
        if any(one.email == email and one.there for one in self.accounts.values()):
            return False
        account = self.accounts[user_id] = Account(user_id, email, confirmed=confirmed)
        self.addresses[user_id] = email
        events: list[Message] = [users.UserRegistered("email", confirmed, self._now())]
        if not confirmed:
            events.append(users.EmailConfirmationRequested(f"link-{user_id}", self._now()))
        self._tell(account, *events)
        return True

    def confirm(self, user_id: str) -> None:
        account = self.accounts[user_id]
        if account.there and not account.confirmed:
            account.confirmed = True
            self._tell(account, users.EmailConfirmed(self._now()))

    def log_in(self, user_id: str, *, known_device: bool) -> None:
        account = self.accounts[user_id]
        if account.there:
            session = f"session-{account.version}"
            self._tell(account, users.UserLoggedIn(session, known_device, "password", self._now()))

    def change_password(self, user_id: str) -> None:
        account = self.accounts[user_id]
        if account.there:
            self._tell(account, users.PasswordChanged(False, self._now()))

    def delete(self, user_id: str) -> None:
        """The account is gone, and so is its activity."""
        account = self.accounts[user_id]
        if account.there:
            self._world.note(f"{user_id} deletes the account")
            account.deleted_at = self._world.loop.time()
            self.activity = {name: note for name, note in self.activity.items() if note.user_id != user_id}
            self._tell(account, users.UserDeleted(self._now()))
            account.email, account.confirmed = "", False

    def may_act(self, user_id: str) -> bool:
        """Whether a session of the account is accepted; for a moment after its end some still are."""
        ended = self.accounts[user_id].deleted_at
        return ended is None or self._world.loop.time() < ended + SESSION_ENDS

    def _now(self) -> int:
        return EPOCH + int(self._world.loop.time() * 1000)

    def _tell(self, account: Account, *events: Message) -> None:
        account.version += 1
        for number, event in enumerate(events):
            place = len(self.outbox) + 1
            told = Happened(place, users.KIND, account.id, account.version, number, self._now(), encode(event))
            self.outbox.append(told)
            self.untold[place] = told
        wake(self.waiting)

    # what flows ask

    async def confirmed_email(self, user_id: str) -> str | None:
        account = await self._calls.make(lambda: self.accounts.get(user_id))
        return account.email if account is not None and account.confirmed and account.there else None

    async def confirmed_by_email(self, email: str) -> str | None:
        def found() -> str | None:
            those = (one.id for one in self.accounts.values() if one.email == email and one.confirmed and one.there)
            return next(those, None)

        return await self._calls.make(found)

    async def scrub(self) -> None:
        await self._calls.make(lambda: None)

    async def note(self, note: Note) -> None:
        def write() -> None:
            if self.accounts[note.user_id].there:
                self.activity.setdefault(note.id, note)

        await self._calls.make(write)

    async def person(self, user_id: str) -> Person | None:
        account = await self._calls.make(lambda: self.accounts.get(user_id))
        return Person(account.email, "", "") if account is not None and account.there else None

    async def link(self, request: str) -> MailLink | None:
        raise AssertionError("mails of the simulation have no links")

    async def told(self, request: str) -> None:
        await self._calls.make(lambda: self.told_of.update({request: None}))


class SimulatedOutbox:
    """Implements EventLog over the outbox of the users."""

    def __init__(self, people: Users, calls: Calls) -> None:
        self._people = people
        self._calls = calls

    async def read(self, after: int, limit: int) -> list[Happened]:
        if len(self._people.outbox) <= after:
            return []
        return await self._calls.make(lambda: self._people.outbox[after : after + limit])

    async def wait(self, after: int, seconds: float) -> None:
        if len(self._people.outbox) <= after:
            await woken(self._people.waiting, seconds)


class RelayedOutbox:
    """Implements Outbox over what is not told yet."""

    def __init__(self, people: Users, calls: Calls) -> None:
        self._people = people
        self._calls = calls

    async def read(self, after: int, limit: int) -> list[Happened]:
        return await self._calls.make(
            lambda: [one for place, one in self._people.untold.items() if place > after][:limit]
        )

    async def wait(self, after: int, seconds: float) -> None:
        if not self._people.untold:
            await woken(self._people.waiting, seconds)

    async def delete(self, positions: Sequence[int]) -> None:
        def forget() -> None:
            for position in positions:
                self._people.untold.pop(position, None)

        await self._calls.make(forget)
