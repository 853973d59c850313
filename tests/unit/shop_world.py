"""The rules of the whole shop on a simulated network, with a simulated payment gateway; no runtime, no clock.

The network keeps the order of each pair and nothing else. What the runtime promises and no more is promised here: a
message that was delivered may come again until the next of its pair does, units that add up come once.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from actors import (
    cart,
    cart_decisions,
    order,
    order_decisions,
    payment,
    payment_decisions,
    stock,
    stock_decisions,
)
from actors.decision import Context, Decision, Message, SetTimer
from actors.payment import Outcome

Address: TypeAlias = tuple[str, str]
Pair: TypeAlias = tuple[Address, Address]

ADDS_UP = (stock.TakeBack, stock.Receive, payment.RecordCash, cart.AddLine, cart.TakeLines)


class Rules(NamedTuple):
    initial: Callable[[str], Any]
    decide: Callable[[Any, Any, Context], Decision]
    apply: Callable[[Any, Any], Any]
    commands: msgspec.msgpack.Decoder[Any]
    events: msgspec.msgpack.Decoder[Any]
    replies: msgspec.msgpack.Decoder[Any]
    state: type[Any]


def _rules(kind: Any, decide: Callable[[Any, Any, Context], Decision], state: type[Any]) -> Rules:
    commands, events, replies = (msgspec.msgpack.Decoder(union) for union in (kind.COMMANDS, kind.EVENTS, kind.REPLIES))
    return Rules(kind.initial, decide, kind.apply, commands, events, replies, state)


RULES = {
    "cart": _rules(cart, cart_decisions.decide, cart.CartState),
    "order": _rules(order, order_decisions.decide, order.OrderState),
    "payment": _rules(payment, payment_decisions.decide, payment.PaymentState),
    "stock": _rules(stock, stock_decisions.decide, stock.StockState),
}


class Intent(msgspec.Struct):
    """An intent at the gateway. `captures` and `refunds` are amounts that really moved."""

    amount: int
    outcome: Outcome = Outcome("failed")
    captures: list[int] = []
    refunds: list[int] = []


class Gateway:
    """Does each thing once for its key. `reference` says how an attempt ends: ok, decline, action, slow."""

    def __init__(self) -> None:
        self.intents: dict[str, Intent] = {}
        self.answers: dict[str, Message] = {}
        self.refuse_refunds = 0

    def perform(self, request: Any) -> Message:
        if isinstance(request, payment.LookUp):
            return payment.LookedUp(request.number, self.intents[request.session].outcome)
        if request.key not in self.answers:
            self.answers[request.key] = self._first_time(request)
        return self.answers[request.key]

    def _first_time(self, request: Any) -> Message:
        if isinstance(request, payment.CreateIntent):
            assert request.session not in self.intents, "one intent a session"
            made = self.intents[request.session] = Intent(request.amount)
            return payment.IntentCreated(
                f"pi-{request.session}", request.number, self._confirm(made, request.reference)
            )
        intent = self.intents[request.session]
        match request:
            case payment.ConfirmIntent():
                return payment.AttemptAnswered(request.attempt, self._confirm(intent, request.reference))
            case payment.CancelIntent():
                if intent.outcome.status not in ("succeeded", "processing"):
                    intent.outcome = Outcome("canceled")
                return payment.Cancelled(intent.outcome)
            case payment.RefundIntent(refund_id=refund_id, amount=amount, number=number):
                if self.refuse_refunds:
                    self.refuse_refunds -= 1
                    return payment.RefundAnswered(refund_id, number, ok=False, code="later")
                intent.refunds.append(amount)
                return payment.RefundAnswered(refund_id, number, ok=True)
        raise AssertionError(request)

    def _confirm(self, intent: Intent, reference: str) -> Outcome:
        assert intent.outcome.status != "processing", "an attempt started while another's outcome was unknown"
        if intent.outcome.status in ("succeeded", "canceled"):
            return intent.outcome
        match reference:
            case "ok":
                self.resolve(intent, success=True)
            case "decline":
                intent.outcome = Outcome("failed", code="declined")
            case "action":
                intent.outcome = Outcome("requires_action", action_url="https://bank.example", action_type="redirect")
            case _:
                intent.outcome = Outcome("processing")
        return intent.outcome

    def resolve(self, intent: Intent, *, success: bool) -> None:
        """The shopper has been at the bank's page, or the bank has made up its mind."""
        if success:
            intent.captures.append(intent.amount)
            intent.outcome = Outcome("succeeded", captured=intent.amount)
        else:
            intent.outcome = Outcome("failed", code="declined")


class World:
    """All entities, what is under way between them, and the time."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.states: dict[Address, Any] = {}
        self.queues: dict[Pair, deque[Message]] = {}
        self.last: dict[Pair, Message] = {}
        self.effects: list[tuple[Address, Message]] = []
        self.timers: dict[tuple[Address, str], SetTimer] = {}
        self.gateway = Gateway()
        self.count = 0

    def state(self, kind: str, entity: str) -> Any:
        found = self.states.get((kind, entity))
        return RULES[kind].initial(entity) if found is None else found

    def ask(self, kind: str, entity: str, command: Message) -> Message:
        """A command carried out at once; its consequences are under way."""
        rules, address = RULES[kind], (kind, entity)
        self.count += 1
        state = self.state(kind, entity)
        before = msgspec.msgpack.encode(state)
        command = rules.commands.decode(msgspec.msgpack.encode(command))
        decision = rules.decide(state, command, Context(self.now, entity, f"c{self.count}"))
        after = state
        for event in decision.events:
            after = rules.apply(after, rules.events.decode(msgspec.msgpack.encode(event)))
        assert msgspec.msgpack.encode(state) == before, "decide and apply leave the old state as it was"
        self.states[address] = msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=rules.state)
        self._follow(address, decision)
        return decision.reply if decision.transient else rules.replies.decode(msgspec.msgpack.encode(decision.reply))

    def _follow(self, address: Address, decision: Decision) -> None:
        for send in decision.sends:
            self._enqueue((address, (send.kind, send.id)), send.message)
        for event in decision.events:
            for target, message in _flows(address, event):
                self._enqueue((("log", "/".join(address)), target), message)
        for timer in decision.timers:
            if isinstance(timer, SetTimer):
                self.timers[address, timer.name] = timer
            else:
                self.timers.pop((address, timer.name), None)
        self.effects += [(address, effect.request) for effect in decision.effects]

    def _enqueue(self, pair: Pair, message: Message) -> None:
        self.queues.setdefault(pair, deque()).append(message)

    def pairs(self) -> list[Pair]:
        return [pair for pair, queue in self.queues.items() if queue]

    def deliver(self, pair: Pair) -> None:
        message = self.queues[pair].popleft()
        self.last[pair] = message
        self.ask(*pair[1], message)

    def deliver_again(self, pair: Pair) -> None:
        if not isinstance(self.last[pair], ADDS_UP):
            self.ask(*pair[1], self.last[pair])

    def perform(self, place: int, *, answer_lost: bool = False) -> None:
        address, request = self.effects[place]
        answer = self.gateway.perform(request)
        if not answer_lost:
            del self.effects[place]
            self.count += 1
            self._enqueue((("gateway", f"{self.count}"), address), answer)

    def fire(self, timer: tuple[Address, str]) -> None:
        due = self.timers.pop(timer)
        self.now = max(self.now, due.at)
        self.ask(*timer[0], due.command)

    def run(self, choose: Callable[[int], int], steps: int) -> bool:
        """Delivers and performs what is under way, as `choose` (below n) says; no timers. Whether it is all done."""
        for _ in range(steps):
            pairs = self.pairs()
            if not pairs and not self.effects:
                return True
            place = choose(len(pairs) + len(self.effects))
            if place < len(pairs):
                self.deliver(pairs[place])
            else:
                self.perform(place - len(pairs))
        return not self.pairs() and not self.effects

    def settle(self, choose: Callable[[int], int]) -> None:
        """Until nothing is under way and no timer is set; the banks make up their minds, time passes."""
        for _ in range(2_000):
            assert self.run(choose, 20_000), "messages without an end"
            for intent in self.gateway.intents.values():
                if intent.outcome.status == "processing":
                    self.gateway.resolve(intent, success=len(intent.captures) == 0)
            if not self.timers:
                return
            self.fire(min(self.timers, key=lambda timer: (self.timers[timer].at, timer)))
        raise AssertionError(f"timers without an end: {self.timers}")


def _flows(address: Address, event: Any) -> list[tuple[Address, Message]]:
    """What the flows open_payments and settle_orders make of a public event."""
    kind, entity = address
    if kind == "order" and isinstance(event, order.OrderPlaced) and event.awaits_payment:
        opened = payment.Open(
            entity, event.amount, event.currency, event.method, event.reference, event.deadline_at, event.owner
        )
        return [(("payment", entity), opened)]
    if kind != "payment":
        return []
    target = ("order", entity)
    match event:
        case payment.PaymentActionRequired(url, action):
            return [(target, order.PaymentActionRequired(url, action))]
        case payment.PaymentProcessing():
            return [(target, order.PaymentProcessing())]
        case payment.PaymentCaptured(amount):
            return [(target, order.PaymentCaptured(amount))]
        case payment.PaymentFailed(code):
            return [(target, order.PaymentFailed(code))]
        case payment.PaymentClosed():
            return [(target, order.PaymentClosed())]
        case payment.PaymentRefunded(refund_id, amount):
            return [(target, order.PaymentRefunded(refund_id, amount))]
        case payment.RefundFailed(refund_id):
            return [(target, order.RefundFailed(refund_id))]
    return []
