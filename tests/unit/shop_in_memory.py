"""The shop's real rules without a runtime, for tests of the HTTP services: one dictionary of entities, no journal.

Messages between carts, orders and stock arrive at once, or when the test says so (`hold`); what goes to payment
sessions is kept in `to_payments`: the test tells it them, or plays their part.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from actors import cart, cart_decisions, order, order_decisions, payment, payment_decisions, stock, stock_decisions
from actors.decision import Context, Message, Send
from actors.runtime.ports import Answer, KeyReused

RULES: dict[str, tuple[ModuleType, ModuleType]] = {
    "cart": (cart, cart_decisions),
    "order": (order, order_decisions),
    "payment": (payment, payment_decisions),
    "stock": (stock, stock_decisions),
}


class Asked(NamedTuple):
    kind: str
    entity: str
    command: Message
    command_id: str | None
    follow: bool


class ShopInMemory:
    """`actors.runtime.ports.Entities`."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], Any] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.answers: dict[tuple[str, str, str], tuple[bytes, Answer]] = {}
        self.asked: list[Asked] = []
        self.to_payments: list[Send] = []
        self.hold = False
        self.now = 1_700_000_000_000
        self._sends: deque[Send] = deque()
        self._changed = asyncio.Condition()
        self._count = 0

    async def ask(
        self,
        kind: str,
        entity: str,
        command: Message,
        *,
        command_id: str | None = None,
        fingerprint: bytes = b"",
        seconds: float = 10.0,
        creates: bool = False,
        follow: bool = False,
    ) -> Answer:
        self.asked.append(Asked(kind, entity, command, command_id, follow))
        key = (kind, entity, command_id or f"new-{len(self.asked)}")
        if key in self.answers:
            first, known = self.answers[key]
            if first != fingerprint:
                raise KeyReused
            answer = Answer(known.reply, known.version, True)
        else:
            answer, transient = self._decide(kind, entity, command, key[2])
            if not transient:
                self.answers[key] = (fingerprint, answer)
        await self.deliver()
        target = RULES[kind][0].follows(answer.reply) if follow and kind == "cart" else None
        if target is None:
            return answer
        followed = await self.watch(*target, seconds=seconds)
        return Answer(followed.reply, followed.version, answer.repeated)

    async def read(self, kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        key = (kind, entity)
        state = self.states[key] if key in self.states else RULES[kind][0].initial(entity)
        return Answer(RULES[kind][0].view(state), self.versions.get(key, 0))

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        def there() -> bool:
            key = (kind, entity)
            if beyond is not None:
                return self.versions.get(key, 0) > beyond
            return key in self.states and bool(RULES[kind][0].settled(self.states[key]))

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(there)
        except TimeoutError:
            pass
        return await self.read(kind, entity)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something that follows from what is asked; raises TimeoutError after 5 s."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(condition)

    async def tell(self, kind: str, entity: str, message: Message) -> None:
        """A message from a flow or a timer."""
        self._count += 1
        self._decide(kind, entity, message, f"message-{self._count}")
        await self.deliver()

    async def deliver(self) -> None:
        """Delivers what is under way, and what follows from it."""
        while self._sends and not self.hold:
            send = self._sends.popleft()
            self._count += 1
            if send.kind == "payment":
                self.to_payments.append(send)
            else:
                self._decide(send.kind, send.id, send.message, f"message-{self._count}")
        async with self._changed:
            self._changed.notify_all()

    def _decide(self, kind: str, entity: str, command: Message, command_id: str) -> tuple[Answer, bool]:
        types, rules = RULES[kind]
        key = (kind, entity)
        state = self.states[key] if key in self.states else types.initial(entity)
        decision = rules.decide(state, command, Context(self.now, entity, command_id))
        for event in decision.events:
            state = types.apply(state, event)
        if decision.events:
            self.states[key] = state
            self.versions[key] = self.versions.get(key, 0) + 1
        self._sends.extend(decision.sends)
        return Answer(decision.reply, self.versions.get(key, 0)), decision.transient
