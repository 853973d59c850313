"""A payment gateway on virtual time, with its own truth about the money.

It does a thing once for each key. The shopper's means decide what becomes of an attempt: `pm_ok`, `pm_declined`,
`pm_action` (the shopper must act), `pm_slow` (it is known some time later).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from actors import order, payment
from actors.decision import Message
from actors.runtime.ports import Entities, Overloaded, Unavailable
from tests.simulation.loop import Process
from tests.simulation.world import World

MEANS = ("pm_ok", "pm_ok", "pm_ok", "pm_declined", "pm_action", "pm_slow")


class GatewaySilent(Exception):
    """No answer; whether it was done is unknown."""


@dataclass
class Intent:
    """`open`, `action`, `processing`, `authorised`, `succeeded` or `canceled`. Amounts in minor units."""

    id: str
    session: str
    amount: int
    status: str = "open"
    code: str = ""
    manual: bool = False
    attempts: dict[str, payment.Outcome] = field(default_factory=dict)
    captures: list[int] = field(default_factory=list)
    refunds: dict[str, int] = field(default_factory=dict)

    @property
    def net(self) -> int:
        return sum(self.captures) - sum(self.refunds.values())

    def outcome(self) -> payment.Outcome:
        match self.status:
            case "succeeded":
                return payment.Outcome("succeeded", captured=sum(self.captures))
            case "action":
                return payment.Outcome("requires_action", action_url=f"https://bank/{self.id}", action_type="redirect")
            case "authorised":
                return payment.Outcome("authorised")
            case "processing":
                return payment.Outcome("processing")
            case "canceled":
                return payment.Outcome("canceled")
        return payment.Outcome("failed", code=self.code or "payment_method_missing")


class SimulatedGateway:
    """`fails`: chance that a call gets no answer; `down`: none does. `refuses`: chance that a refund is refused.

    `falls`: chance that one which was taken fails later.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.process = Process("gateway")
        self.chance = world.stream("gateway")
        # Of a stream of their own: lives without manual capture are what they are without it.
        self.captures = world.stream("captures")
        self.falls = self.captures.choice((0.0, 0.3))
        self.capture_method: order.CaptureMethod = "manual" if self.captures.random() < 0.4 else "automatic"
        self.fails = 0.0
        self.refuses = 0.0
        self.down = False
        self.replays = self.chance.random() < 0.5
        self.intents: dict[str, Intent] = {}
        self.entities: Entities | None = None
        self._refused: dict[str, None] = {}
        self.news = 0
        """What will still happen there by itself, or has and was not told."""

    def runner(self) -> "GatewayRunner":
        return GatewayRunner(self)

    # what it does, each at one moment

    def carry_out(self, request: Message) -> Message:
        match request:
            case payment.CreateIntent():
                return self._create(request)
            case payment.ConfirmIntent(session, attempt=attempt):
                outcome = self._confirm(self.intents[session], request.key, request.reference)
                return payment.AttemptAnswered(attempt, outcome)
            case payment.LookUp(session, number=number):
                return payment.LookedUp(number, self.intents[session].outcome())
            case payment.CancelIntent(session):
                intent = self.intents[session]
                if intent.status in ("open", "action", "authorised"):
                    self._set(intent, "canceled")
                return payment.Cancelled(intent.outcome())
            case payment.CaptureIntent(session, number=number):
                return payment.CaptureAnswered(number, self._take(self.intents[session]))
            case payment.RefundIntent():
                return self._refund(self.intents[request.session], request)
        raise TypeError(type(request).__name__)

    def _create(self, request: payment.CreateIntent) -> Message:
        if request.session not in self.intents:
            if request.key in self._refused or self.chance.random() < self.refuses:
                self._refused[request.key] = None
                return payment.IntentRefused("currency_not_taken", request.number)
            name = f"pi_{len(self.intents) + 1}"
            manual = request.capture_method == "manual"
            self.intents[request.session] = Intent(name, request.session, request.amount, manual=manual)
        intent = self.intents[request.session]
        outcome = self._confirm(intent, request.attempt_key, request.reference)
        return payment.IntentCreated(intent.id, request.number, outcome)

    def _confirm(self, intent: Intent, key: str, reference: str) -> payment.Outcome:
        if key in intent.attempts:
            return intent.attempts[key] if self.replays else intent.outcome()
        if intent.status in ("open", "action"):
            match reference:
                case "pm_ok":
                    self._succeed(intent)
                case "pm_action":
                    self._set(intent, "action")
                case "pm_slow":
                    self._set(intent, "processing")
                    self._later(self.chance.uniform(0.5, 15.0), lambda: self._decide_late(intent))
                case _:
                    self._set(intent, "open", "card_declined")
        outcome = intent.attempts[key] = intent.outcome()
        return outcome

    def _decide_late(self, intent: Intent) -> None:
        if self.chance.random() < 0.6:
            self._succeed(intent)
        else:
            self._set(intent, "open", "debit_failed")
        self._notify(intent)

    def _succeed(self, intent: Intent) -> None:
        """The money is taken, or set aside; then the bank may let go of it before it is captured."""
        if not intent.manual:
            self._capture(intent)
            return
        self._set(intent, "authorised")
        if self.captures.random() < 0.2:
            self.news += 1
            self._later(self.captures.uniform(1.0, 20.0), lambda: self._lapse(intent))

    def _lapse(self, intent: Intent) -> None:
        if intent.status == "authorised":
            self._set(intent, "canceled")
            if self.captures.random() < 0.85:
                self.world.loop.spawn(
                    self.process, self._insist(intent.session, payment.GatewayNotified(intent.id)), "webhook"
                )
                return
        self.news -= 1

    def _take(self, intent: Intent) -> payment.Outcome:
        """Sometimes it cannot be done just now, and nothing changes."""
        if intent.status == "authorised" and self.captures.random() >= self.refuses:
            self._capture(intent)
        return intent.outcome()

    def _capture(self, intent: Intent) -> None:
        intent.captures.append(intent.amount)
        self._set(intent, "succeeded")

    def _set(self, intent: Intent, status: str, code: str = "") -> None:
        intent.status, intent.code = status, code
        self.world.note(f"gateway: {intent.id} of {intent.session} is {status} {code}")

    def _refund(self, intent: Intent, request: payment.RefundIntent) -> Message:
        if request.key in self._refused:
            return payment.RefundAnswered(request.refund_id, request.number, False, "try_later")
        if request.key not in intent.refunds:
            if request.amount > intent.net:
                self.world.violate(
                    f"a refund of {request.amount} for {intent.session} is more than the {intent.net} left"
                )
                return payment.RefundAnswered(request.refund_id, request.number, False, "too_large")
            if self.chance.random() < self.refuses:
                self._refused[request.key] = None
                return payment.RefundAnswered(request.refund_id, request.number, False, "try_later")
            intent.refunds[request.key] = request.amount
            self.world.note(f"gateway: {request.amount} go back for {intent.session}")
            if self.captures.random() < self.falls:
                self.news += 1
                self._later(self.captures.uniform(0.1, 10.0), lambda: self._fail_refund(intent, request))
        return payment.RefundAnswered(request.refund_id, request.number, True)

    def _fail_refund(self, intent: Intent, request: payment.RefundIntent) -> None:
        """It was taken, and cannot be paid back after all; the news comes, sooner or later."""
        intent.refunds[request.key] = 0
        self.world.note(f"gateway: {request.amount} did not go back for {intent.session}")
        news = payment.NoteRefundFailed(request.refund_id, request.number, "lost_or_stolen_card")
        self.world.loop.spawn(self.process, self._insist(intent.session, news), "webhook")

    # the shopper at the bank, and news for the shop

    def act(self, session: str, succeed: bool) -> None:
        """The shopper does what the bank asks, or fails to."""
        intent = self.intents.get(session)
        if intent is not None and intent.status == "action":
            if succeed:
                self._succeed(intent)
            else:
                self._set(intent, "open", "authentication_failed")
            self._notify(intent)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.world.loop.call_later(seconds, what, context=self.process.context.copy())

    def _notify(self, intent: Intent) -> None:
        if self.chance.random() < 0.85:
            self.world.loop.spawn(self.process, self._tell(intent), "webhook")

    async def _insist(self, session: str, news: Message) -> None:
        await self._say(session, news)
        self.news -= 1

    async def _tell(self, intent: Intent) -> None:
        await self._say(intent.session, payment.GatewayNotified(intent.id))

    async def _say(self, session: str, news: Message) -> None:
        entities = self.entities
        assert entities is not None
        while True:
            await asyncio.sleep(self.chance.uniform(0.01, 2.0))
            try:
                await entities.ask("payment", session, news, seconds=3.0)
            except (Unavailable, Overloaded):
                continue
            return


class GatewayRunner:
    """Implements EffectRunner: the way to the gateway."""

    def __init__(self, gateway: SimulatedGateway) -> None:
        self._gateway = gateway

    async def run(self, request: Message) -> Message:
        """Raises GatewaySilent."""
        gateway = self._gateway
        chance = gateway.chance
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def land() -> None:
            done = gateway.carry_out(request)
            gateway._later(chance.uniform(0.005, 0.1), lambda: None if answer.done() else answer.set_result(done))

        if gateway.down or chance.random() < gateway.fails:
            if not gateway.down and chance.random() < 0.6:
                late = chance.choice((0.05, 1.0, 10.0))
                gateway._later(chance.uniform(0, late), lambda: _quietly(gateway, request))
            await asyncio.sleep(chance.uniform(0.05, 3.0))
            raise GatewaySilent
        gateway._later(chance.uniform(0.005, 0.2), land)
        return await answer


def _quietly(gateway: SimulatedGateway, request: Message) -> None:
    """It is done, and nobody hears of it."""
    gateway.carry_out(request)
