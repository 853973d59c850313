"""A payment session: one order's money, one intent at the gateway, one attempt at a time.

The session id is the order id. The gateway alone knows whether money moved; the session asks until it has an answer,
and starts no attempt while another's outcome is unknown. Once it is asked to close it starts none at all, finds out
what became of the last one, cancels the intent, and says `PaymentCaptured` or `PaymentClosed`, whichever the gateway
says. Money that is only authorised moves when the order asks for its capture. Amounts are minor units of the
session's currency, times UTC milliseconds. The decisions are in `payment_decisions.py`.
"""

from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.decision import Done, Message, Refused
from actors.order_commands import CaptureMethod as CaptureMethod
from actors.payment_commands import AttemptAnswered as AttemptAnswered
from actors.payment_commands import Cancelled as Cancelled
from actors.payment_commands import Capture as Capture
from actors.payment_commands import CaptureAnswered as CaptureAnswered
from actors.payment_commands import Close as Close
from actors.payment_commands import GatewayNotified as GatewayNotified
from actors.payment_commands import IntentCreated as IntentCreated
from actors.payment_commands import IntentRefused as IntentRefused
from actors.payment_commands import LookedUp as LookedUp
from actors.payment_commands import NoteDispute as NoteDispute
from actors.payment_commands import NoteRefundFailed as NoteRefundFailed
from actors.payment_commands import Open as Open
from actors.payment_commands import Outcome as Outcome
from actors.payment_commands import OutcomeStatus as OutcomeStatus
from actors.payment_commands import Poll as Poll
from actors.payment_commands import RecordCash as RecordCash
from actors.payment_commands import Refund as Refund
from actors.payment_commands import RefundAnswered as RefundAnswered
from actors.payment_commands import RetryRefunds as RetryRefunds
from actors.payment_commands import TryMethod as TryMethod
from actors.payment_effects import CancelIntent as CancelIntent
from actors.payment_effects import CaptureIntent as CaptureIntent
from actors.payment_effects import ConfirmIntent as ConfirmIntent
from actors.payment_effects import CreateIntent as CreateIntent
from actors.payment_effects import LookUp as LookUp
from actors.payment_effects import RefundIntent as RefundIntent
from actors.payment_events import AttemptStarted as AttemptStarted
from actors.payment_events import CancelAnswered as CancelAnswered
from actors.payment_events import CancelAsked as CancelAsked
from actors.payment_events import CaptureAsked as CaptureAsked
from actors.payment_events import CaptureEnded as CaptureEnded
from actors.payment_events import CashRecorded as CashRecorded
from actors.payment_events import ClosingBegan as ClosingBegan
from actors.payment_events import DisputeNoted as DisputeNoted
from actors.payment_events import IntentAsked as IntentAsked
from actors.payment_events import IntentMade as IntentMade
from actors.payment_events import LookEnded as LookEnded
from actors.payment_events import LookStarted as LookStarted
from actors.payment_events import LookWanted as LookWanted
from actors.payment_events import NextMethodSet as NextMethodSet
from actors.payment_events import PaymentActionRequired as PaymentActionRequired
from actors.payment_events import PaymentAuthorised as PaymentAuthorised
from actors.payment_events import PaymentCaptured as PaymentCaptured
from actors.payment_events import PaymentClosed as PaymentClosed
from actors.payment_events import PaymentFailed as PaymentFailed
from actors.payment_events import PaymentProcessing as PaymentProcessing
from actors.payment_events import PaymentRefunded as PaymentRefunded
from actors.payment_events import RefundFailed as RefundFailed
from actors.payment_events import RefundStarted as RefundStarted
from actors.payment_events import SessionOpened as SessionOpened
from actors.payment_events import WebhookReceived as WebhookReceived

Attempt: TypeAlias = Literal["none", "sent", "processing", "action", "authorised", "failed"]


class PaymentView(Message, tag="PaymentView/1", frozen=True):
    """`status`: none, opening, running, failed, authorised, closing, closed, captured."""

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
    brand: str = ""
    last4: str = ""


class RefundRow(msgspec.Struct, frozen=True):
    amount: int
    status: Literal["asked", "refunded", "failed"]
    must: bool
    number: int = 1


class PaymentState(msgspec.Struct, frozen=True):
    """`creating`: the intent's creation is under way. `look`: number of the last look, `looking`: it is under way.

    `captures`: how often the gateway was asked to capture, `capturing`: it is being asked.
    `disputes`: their last status by id.
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
    capture_method: CaptureMethod = "automatic"
    captures: int = 0
    capturing: bool = False
    captured: int = 0
    cash: bool = False
    refunds: dict[str, RefundRow] = {}
    brand: str = ""
    last4: str = ""
    disputes: dict[str, str] = {}

    @property
    def capture_owed(self) -> bool:
        """The order asked for what is set aside, and the gateway has not said how that ended."""
        return self.attempt_state == "authorised" and self.captures > 0

    @property
    def refundable(self) -> int:
        """What was captured, less what has gone back or is on its way."""
        return self.captured - sum(row.amount for row in self.refunds.values() if row.status != "failed" or row.must)


COMMANDS: TypeAlias = (
    Open
    | TryMethod
    | Close
    | Capture
    | Refund
    | RecordCash
    | GatewayNotified
    | IntentCreated
    | IntentRefused
    | AttemptAnswered
    | LookedUp
    | Cancelled
    | CaptureAnswered
    | RefundAnswered
    | NoteRefundFailed
    | NoteDispute
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
    | PaymentAuthorised
    | CaptureAsked
    | CaptureEnded
    | PaymentCaptured
    | PaymentFailed
    | PaymentClosed
    | RefundStarted
    | PaymentRefunded
    | RefundFailed
    | CashRecorded
    | WebhookReceived
    | DisputeNoted
)
REPLIES: TypeAlias = PaymentView | Done | Refused
EFFECTS: TypeAlias = CreateIntent | ConfirmIntent | LookUp | CancelIntent | CaptureIntent | RefundIntent
PUBLIC: tuple[type[Message], ...] = (
    SessionOpened,
    PaymentActionRequired,
    PaymentProcessing,
    PaymentAuthorised,
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
        brand=state.brand,
        last4=state.last4,
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
    if state.attempt_state == "authorised":
        return "authorised"
    return "failed" if state.attempt_state in ("none", "failed") else "running"


def settled(state: PaymentState) -> bool:
    """Nothing is under way at the gateway that the session does not know the end of."""
    asks = state.attempt_state in ("sent", "processing") or state.capture_owed
    unsure = state.creating or bool(state.closing) or asks
    ended = state.closed or bool(state.captured) or not unsure
    return ended and all(row.status == "refunded" or not row.must for row in state.refunds.values())


def apply(state: PaymentState, event: EVENTS) -> PaymentState:
    match event:
        case SessionOpened(amount, currency, method, reference, deadline_at, owner, capture_method):
            opened = replace(state, opened=True, amount=amount, currency=currency, deadline_at=deadline_at, owner=owner)
            wish = state.next_method or (method, reference)
            return replace(
                opened, method=method, capture_method=capture_method, next_method=wish, creating=True, creations=1
            )
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
            # A wish that never came to an attempt of its own was part of what the gateway refused.
            refused = state.creating and state.attempt_state != "sent"
            next_method = None if refused else state.next_method
            return replace(state, attempt_state="failed", creating=False, next_method=next_method)
        case PaymentAuthorised(brand=brand, last4=last4):
            return replace(state, attempt_state="authorised", next_method=None, brand=brand, last4=last4, polls=0)
        case CaptureAsked(number):
            return replace(state, captures=number, capturing=True, polls=0 if number == 1 else state.polls)
        case CaptureEnded():
            return replace(state, capturing=False)
        case PaymentCaptured(amount, brand=brand, last4=last4):
            captured = replace(state, captured=amount, closing="", cancelling=False, next_method=None, capturing=False)
            return replace(captured, brand=brand, last4=last4)
        case PaymentClosed():
            return replace(state, closed=True, closing="", cancelling=False, next_method=None)
        case CashRecorded(amount, currency, owner):
            return replace(state, cash=True, captured=amount, amount=amount, currency=currency, owner=owner)
        case WebhookReceived():
            return state
        case DisputeNoted(dispute, status=status):
            return replace(state, disputes={**state.disputes, dispute: status})
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
