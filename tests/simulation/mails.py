"""Mails and notices in memory: intents that one sender has at a time, a server whose answer may be lost, files."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.notify_users import UserMail
from pipelines.send_mails import Mail
from tests.simulation.people import Users
from tests.simulation.stores import Calls, Contacts
from tests.simulation.world import World

TAKE_OVER = 5.0
"""Seconds that an intent is its sender's; well beyond the longest that the server takes."""


@dataclass
class Intent:
    """`sendings`: how often it was, or may have been, handed to the server. `until`: nobody else sends it before."""

    owner: str
    order_id: str
    until: float
    sendings: int = 0
    outcome: str = ""
    busy: bool = True


class SimulatedMails:
    """Implements Mails and ErasesMails, as `serve.notifications` does. `files`: what lies in the mailbox's folder."""

    def __init__(self, world: World, calls: Calls, contacts: Contacts, people: Users) -> None:
        self._world = world
        self._calls = calls
        self._contacts = contacts
        self._people = people
        self._chance = world.stream("mails")
        self.intents: dict[tuple[str, str], Intent] = {}
        self.files: dict[tuple[str, str], str] = {}
        self.delivered: dict[tuple[str, str], int] = {}

    async def send(self, mail: Mail | UserMail) -> None:
        """Raises TimeoutError: another is sending it, or the server's answer was lost."""
        name = (mail.event_id, mail.template)
        if not await self._calls.make(lambda: self._begin(name, mail)):
            return
        intent = self.intents[name]
        try:
            address = await self._address(mail)
        except ConnectionError:
            await self._calls.make(lambda: self._free(intent))
            raise
        if address is None:
            await self._calls.make(lambda: self._end(intent, "no_contact"))
            return
        await self._world.sleep(self._chance.uniform(0.001, 0.2))
        lost = self._calls.fails and self._chance.random() < self._calls.fails
        if not lost or self._chance.random() < 0.5:
            self.delivered[name] = self.delivered.get(name, 0) + 1
            self.files[name] = address
        if lost:
            raise TimeoutError("the server's answer was lost")
        await self._calls.make(lambda: self._end(intent, "sent"))

    async def give_up(self, mail: Mail | UserMail) -> None:
        raise AssertionError("no mail is final")

    async def erase(self, owner: str, orders: Sequence[str]) -> None:
        """Raises TimeoutError: one is being sent."""
        await self._calls.make(lambda: self._erase(owner, orders))

    def _begin(self, name: tuple[str, str], mail: Mail | UserMail) -> bool:
        """Whether it is the asker's now; not if it has its outcome."""
        now = self._world.loop.time()
        intent = self.intents.get(name)
        if intent is None:
            intent = self.intents[name] = Intent(mail.owner, mail.order_id, now)
        elif intent.outcome:
            return False
        elif intent.busy and now < intent.until:
            raise TimeoutError("it is being sent")
        intent.busy, intent.until = True, now + TAKE_OVER
        intent.sendings += 1
        return True

    def _free(self, intent: Intent) -> None:
        intent.busy = False
        intent.sendings -= 1

    def _end(self, intent: Intent, outcome: str) -> None:
        intent.outcome = intent.outcome or outcome
        intent.busy = False

    async def _address(self, mail: Mail | UserMail) -> str | None:
        if isinstance(mail, Mail):
            return await self._contacts.email(mail.order.contact_id)
        person = await self._people.person(mail.user_id)
        return None if person is None else person.address

    def _erase(self, owner: str, orders: Sequence[str]) -> None:
        now = self._world.loop.time()
        for name, intent in self.intents.items():
            if intent.owner == owner or intent.order_id in orders:
                if intent.busy and now < intent.until:
                    raise TimeoutError("it is being sent")
                self.files.pop(name, None)
