"""A payment session: one order's money, one intent at the gateway, one attempt at a time.

The session id is the order id. The gateway alone knows whether money moved; the session asks until it has an answer,
and starts no attempt while another's outcome is unknown. Once it is asked to close it starts none at all, finds out
what became of the last one, cancels the intent, and says `PaymentCaptured` or `PaymentClosed`, whichever the gateway
says. Amounts are minor units of the session's currency, times UTC milliseconds. The decisions are in
`payment_decisions.py`.

Each effect request has a `key`: the gateway does a thing once for each key, however often it is asked. An executor
answers only with what the gateway said; as long as it said nothing (a timeout, a 500) it asks again under the same key.
"""

from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused

Attempt: TypeAlias = Literal["none", "sent", "processing", "action", "failed"]
OutcomeStatus: TypeAlias = Literal["succeeded", "failed", "requires_action", "processing", "canceled"]


class Outcome(msgspec.Struct, frozen=True):
    """An intent as the gateway sees it. `failed`: it takes another attempt. `captured`: minor units, if succeeded."""

    status: OutcomeStatus
    code: str = ""
    action_url: str = ""
    action_type: str = ""
    captured: int = 0


class Open(Message, tag="Open/1", frozen=True):
    """From the flow of placed orders. Ignored if the session is closed already, or if there is nothing to capture."""

    order_id: str
    amount: int
    currency: str
    method: str
    reference: str
    deadline_at: int
    owner: str


class TryMethod(Message, tag="TryMethod/1", frozen=True):
    """From the order, its `number`th: the next attempt, made once the running one is known to have failed."""

    method: str
    reference: str
    number: int


class Close(Message, tag="Close/1", frozen=True):
    """From the order. Answered by PaymentClosed or PaymentCaptured, through the log. `reason` as in ClosingStarted."""

    reason: str


class Refund(Message, tag="Refund/1", frozen=True):
    """From the order. `must`: the order does not stand, so it is asked for again until it works.

    Then `amount` is cut to what is left. Answered by PaymentRefunded or RefundFailed, through the log.
    """

    refund_id: str
    amount: int
    must: bool = False


class RecordCash(Message, tag="RecordCash/1", frozen=True):
    """From an order that was paid at the door."""

    amount: int
    currency: str


class GatewayNotified(Message, tag="GatewayNotified/1", frozen=True):
    """A webhook, or the shopper came back: look again. Believed in nothing."""

    intent_id: str | None = None


class IntentCreated(Message, tag="IntentCreated/1", frozen=True):
    """Answers CreateIntent."""

    intent: str
    number: int = 1


class IntentRefused(Message, tag="IntentRefused/1", frozen=True):
    """Answers CreateIntent of the same number: the gateway does not want this amount or currency."""

    code: str
    number: int = 1


class AttemptAnswered(Message, tag="AttemptAnswered/1", frozen=True):
    """Answers ConfirmIntent."""

    attempt: int
    outcome: Outcome


class LookedUp(Message, tag="LookedUp/1", frozen=True):
    """Answers LookUp of the same number."""

    number: int
    outcome: Outcome


class Cancelled(Message, tag="Cancelled/1", frozen=True):
    """Answers CancelIntent: what the intent is now, cancelled or not."""

    outcome: Outcome


class RefundAnswered(Message, tag="RefundAnswered/1", frozen=True):
    """Answers RefundIntent of the same number. Not `ok` is the gateway's refusal, not its silence."""

    refund_id: str
    number: int
    ok: bool
    code: str = ""


class Poll(Message, tag="Poll/1", frozen=True):
    """Timer `poll`."""


class RetryRefunds(Message, tag="RetryRefunds/1", frozen=True):
    """Timer `refunds`: ask again for those that must be."""


class CreateIntent(Message, tag="CreateIntent/1", frozen=True):
    """Effect. `number` grows only when the gateway had refused."""

    session: str
    amount: int
    currency: str
    number: int = 1

    @property
    def key(self) -> str:
        return f"{self.session}/intent/{self.number}"


class ConfirmIntent(Message, tag="ConfirmIntent/1", frozen=True):
    """Effect. `method` is card, bank_redirect or wallet, `reference` the gateway's name for the shopper's means."""

    session: str
    intent: str
    attempt: int
    method: str
    reference: str

    @property
    def key(self) -> str:
        return f"{self.session}/attempt/{self.attempt}"


class LookUp(Message, tag="LookUp/1", frozen=True):
    """Effect: a read, which must see everything that the gateway had done when the request was made."""

    session: str
    intent: str
    number: int

    @property
    def key(self) -> str:
        return f"{self.session}/look/{self.number}"


class CancelIntent(Message, tag="CancelIntent/1", frozen=True):
    """Effect. An intent that can no longer be cancelled is not an error: the answer says what it is."""

    session: str
    intent: str
    number: int = 1

    @property
    def key(self) -> str:
        return f"{self.session}/cancel/{self.number}"


class RefundIntent(Message, tag="RefundIntent/1", frozen=True):
    """Effect. `number` grows only when the gateway had refused."""

    session: str
    intent: str
    refund_id: str
    amount: int
    number: int = 1

    @property
    def key(self) -> str:
        return f"{self.session}/refund/{self.refund_id}/{self.number}"


class SessionOpened(Message, tag="SessionOpened/1", frozen=True):
    amount: int
    currency: str
    method: str
    reference: str
    deadline_at: int
    owner: str


class IntentAsked(Message, tag="IntentAsked/1", frozen=True):
    """Creation was asked for again, after a refusal."""

    number: int


class IntentMade(Message, tag="IntentMade/1", frozen=True):
    intent: str


class NextMethodSet(Message, tag="NextMethodSet/1", frozen=True):
    """What the next attempt will be, the order's `number`th wish."""

    method: str
    reference: str
    number: int


class AttemptStarted(Message, tag="AttemptStarted/1", frozen=True):
    attempt: int
    method: str
    reference: str


class LookStarted(Message, tag="LookStarted/1", frozen=True):
    """`polls`: how often the session has looked of its own accord since something last changed."""

    number: int
    polls: int


class LookEnded(Message, tag="LookEnded/1", frozen=True):
    number: int


class LookWanted(Message, tag="LookWanted/1", frozen=True):
    """There was news during a look: another follows it."""


class ClosingBegan(Message, tag="ClosingBegan/1", frozen=True):
    reason: str


class CancelAsked(Message, tag="CancelAsked/1", frozen=True):
    number: int


class CancelAnswered(Message, tag="CancelAnswered/1", frozen=True):
    """The gateway did not cancel; it is looked at again before it is asked again."""


class PaymentActionRequired(Message, tag="PaymentActionRequired/1", frozen=True):
    url: str
    kind: str


class PaymentProcessing(Message, tag="PaymentProcessing/1", frozen=True):
    pass


class PaymentCaptured(Message, tag="PaymentCaptured/1", frozen=True):
    amount: int
    currency: str


class PaymentFailed(Message, tag="PaymentFailed/1", frozen=True):
    """The attempt failed; another may follow."""

    code: str


class PaymentClosed(Message, tag="PaymentClosed/1", frozen=True):
    """No money moved and none will. `reason` as in Close, or `gateway` if it cancelled by itself."""

    reason: str


class RefundStarted(Message, tag="RefundStarted/1", frozen=True):
    refund_id: str
    amount: int
    must: bool
    number: int


class PaymentRefunded(Message, tag="PaymentRefunded/1", frozen=True):
    refund_id: str
    amount: int
    currency: str


class RefundFailed(Message, tag="RefundFailed/1", frozen=True):
    """`final`: it is not asked for again."""

    refund_id: str
    code: str
    final: bool


class CashRecorded(Message, tag="CashRecorded/1", frozen=True):
    amount: int
    currency: str


class PaymentView(Message, tag="PaymentView/1", frozen=True):
    """`status`: none, opening, running, failed, closing, closed, captured."""

    id: str
    status: str
    amount: int
    currency: str
    method: str
    intent: str
    attempts: int
    captured: int
    refunded: int
    cash: bool
    owner: str


class RefundRow(msgspec.Struct, frozen=True):
    amount: int
    status: Literal["asked", "refunded", "failed"]
    must: bool
    number: int = 1


class PaymentState(msgspec.Struct, frozen=True):
    """`creating`: the intent's creation is under way. `look`: number of the last look, `looking`: it is under way.

    `look_counts`: it began after the gateway's answer to the running attempt, so what it says is about that attempt.
    """

    id: str
    opened: bool = False
    amount: int = 0
    currency: str = ""
    method: str = ""
    deadline_at: int = 0
    owner: str = ""
    creating: bool = False
    creations: int = 0
    intent: str = ""
    attempt: int = 0
    attempt_state: Attempt = "none"
    next_method: tuple[str, str] | None = None
    last_try: int = 0
    look: int = 0
    looking: bool = False
    look_counts: bool = False
    look_again: bool = False
    polls: int = 0
    closing: str = ""
    cancels: int = 0
    cancelling: bool = False
    closed: bool = False
    captured: int = 0
    cash: bool = False
    refunds: dict[str, RefundRow] = {}

    @property
    def refundable(self) -> int:
        """What was captured, less what has gone back or is on its way."""
        return self.captured - sum(row.amount for row in self.refunds.values() if row.status != "failed" or row.must)


COMMANDS: TypeAlias = (
    Open
    | TryMethod
    | Close
    | Refund
    | RecordCash
    | GatewayNotified
    | IntentCreated
    | IntentRefused
    | AttemptAnswered
    | LookedUp
    | Cancelled
    | RefundAnswered
    | Poll
    | RetryRefunds
)
EVENTS: TypeAlias = (
    SessionOpened
    | IntentAsked
    | IntentMade
    | NextMethodSet
    | AttemptStarted
    | LookStarted
    | LookEnded
    | LookWanted
    | ClosingBegan
    | CancelAsked
    | CancelAnswered
    | PaymentActionRequired
    | PaymentProcessing
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | RefundStarted
    | PaymentRefunded
    | RefundFailed
    | CashRecorded
)
REPLIES: TypeAlias = PaymentView | Done | Refused
EFFECTS: TypeAlias = CreateIntent | ConfirmIntent | LookUp | CancelIntent | RefundIntent
PUBLIC: tuple[type[Message], ...] = (
    SessionOpened,
    PaymentActionRequired,
    PaymentProcessing,
    PaymentCaptured,
    PaymentFailed,
    PaymentClosed,
    PaymentRefunded,
    RefundFailed,
    CashRecorded,
)
"""Events that other services may read; the entity's id is the order's."""


def initial(entity_id: str) -> PaymentState:
    return PaymentState(id=entity_id)


def view(state: PaymentState) -> PaymentView:
    return PaymentView(
        id=state.id,
        status=_status(state),
        amount=state.amount,
        currency=state.currency,
        method=state.method,
        intent=state.intent,
        attempts=state.attempt,
        captured=state.captured,
        refunded=sum(row.amount for row in state.refunds.values() if row.status == "refunded"),
        cash=state.cash,
        owner=state.owner,
    )


def _status(state: PaymentState) -> str:
    if state.captured:
        return "captured"
    if state.closed:
        return "closed"
    if state.closing:
        return "closing"
    if not state.opened:
        return "none"
    if state.creating:
        return "opening"
    return "failed" if state.attempt_state in ("none", "failed") else "running"


def settled(state: PaymentState) -> bool:
    """Nothing is under way at the gateway that the session does not know the end of."""
    unsure = state.creating or bool(state.closing) or state.attempt_state in ("sent", "processing")
    ended = state.closed or bool(state.captured) or not unsure
    return ended and all(row.status == "refunded" or not row.must for row in state.refunds.values())


def apply(state: PaymentState, event: EVENTS) -> PaymentState:
    match event:
        case SessionOpened(amount, currency, method, reference, deadline_at, owner):
            opened = replace(state, opened=True, amount=amount, currency=currency, deadline_at=deadline_at, owner=owner)
            wish = state.next_method or (method, reference)
            return replace(opened, method=method, next_method=wish, creating=True, creations=1)
        case IntentAsked(number):
            return replace(state, creating=True, creations=number, attempt_state="none")
        case IntentMade(intent):
            return replace(state, creating=False, intent=intent)
        case NextMethodSet(method, reference, number):
            return replace(state, next_method=(method, reference), last_try=number)
        case AttemptStarted(attempt, method):
            sent = replace(state, attempt=attempt, attempt_state="sent", method=method, next_method=None)
            return replace(sent, look_counts=False, polls=0)
        case LookStarted(number, polls):
            counts = state.attempt_state != "sent"
            return replace(state, look=number, looking=True, look_counts=counts, look_again=False, polls=polls)
        case LookEnded():
            return replace(state, looking=False)
        case LookWanted():
            return replace(state, look_again=True)
        case ClosingBegan(reason):
            return replace(state, closing=reason, next_method=None, polls=0)
        case CancelAsked(number):
            return replace(state, cancels=number, cancelling=True)
        case CancelAnswered():
            return replace(state, cancelling=False)
        case PaymentActionRequired():
            return replace(state, attempt_state="action")
        case PaymentProcessing():
            return replace(state, attempt_state="processing")
        case PaymentFailed():
            return replace(state, attempt_state="failed", creating=False)
        case PaymentCaptured(amount):
            return replace(state, captured=amount, closing="", cancelling=False, next_method=None)
        case PaymentClosed():
            return replace(state, closed=True, closing="", cancelling=False, next_method=None)
        case CashRecorded(amount, currency):
            return replace(state, cash=True, captured=amount, amount=amount, currency=currency)
        case RefundStarted() | PaymentRefunded() | RefundFailed():
            return replace(state, refunds={**state.refunds, event.refund_id: _refund_row(state, event)})
    assert_never(event)


def _refund_row(state: PaymentState, event: RefundStarted | PaymentRefunded | RefundFailed) -> RefundRow:
    match event:
        case RefundStarted(_, amount, must, number):
            return RefundRow(amount, "asked", must, number)
        case PaymentRefunded(refund_id):
            return replace(state.refunds[refund_id], status="refunded")
        case RefundFailed(refund_id):
            row = state.refunds.get(refund_id, RefundRow(0, "failed", must=False))
            return replace(row, status="failed")
    assert_never(event)
