"""A deleted account is forgotten everywhere: contacts of its orders, mails, and what was left in files."""

from collections.abc import Sequence
from typing import Protocol

from actors.runtime.ports import Clock
from pipelines.events import users
from pipelines.flow import Flow
from pipelines.join_guest_orders import USER
from pipelines.log.base import Happened

NAME = "erase_people"
SETTLE_MS = 3000
"""A session that ended is refused everywhere within a second: what it still began is over then."""


class ErasesContacts(Protocol):
    async def erase_owner(self, owner: str) -> list[str]:
        """The ids of the owner's orders, whose contacts are gone. Raises ConnectionError: ask again."""
        ...


class ErasesMails(Protocol):
    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        """Deletes mails to the owner and about these orders. Raises TimeoutError: one is being sent; ask again."""
        ...


class Scrubs(Protocol):
    async def scrub(self) -> None:
        """What was erased stands nowhere in the files either. Raises ConnectionError: ask again."""
        ...


class Forgetting:
    """Erases people; a repetition finds nothing left."""

    def __init__(self, contacts: ErasesContacts, mails: ErasesMails, accounts: Scrubs) -> None:
        self._contacts = contacts
        self._mails = mails
        self._accounts = accounts

    async def all_of(self, user_id: str) -> None:
        """Everything of a deleted account's owner. Raises ConnectionError or TimeoutError: ask again."""
        owner = f"{USER}{user_id}"
        orders = await self._contacts.erase_owner(owner)
        await self._mails.erase(owner, orders)
        await self._accounts.scrub()


def erase_people(forgetting: Forgetting, clock: Clock) -> Flow:
    """UserDeleted -> erased."""

    async def handle(happened: Happened, event: users.UserDeleted) -> None:
        await clock.sleep(min(max(0, event.at + SETTLE_MS - clock.wall()), SETTLE_MS) / 1000)
        await forgetting.all_of(happened.entity)

    return Flow(NAME, {users.KIND: (users.UserDeleted,)}, handle, ordered=False)
