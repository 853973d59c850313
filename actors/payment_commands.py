"""What a payment session is told: by its order, by the flow of placed orders, and by the gateway."""

from typing import Literal, TypeAlias

import msgspec

from actors.decision import Message
from actors.order_commands import CaptureMethod

OutcomeStatus: TypeAlias = Literal["succeeded", "authorised", "failed", "requires_action", "processing", "canceled"]


class Outcome(msgspec.Struct, frozen=True):
    """An intent as the gateway sees it. `failed`: it takes another attempt. `captured`: minor units, if succeeded.

    `authorised`: the money is set aside, and moves when it is captured.
    `brand` and `last4` tell a card to its owner. `raw`: the gateway's answer as JSON, without what grants anything.
    """

    status: OutcomeStatus
    code: str = ""
    action_url: str = ""
    action_type: str = ""
    captured: int = 0
    brand: str = ""
    last4: str = ""
    raw: str = ""


class Open(Message, tag="Open/1", frozen=True):
    """From the flow of placed orders. Ignored if the session is closed already, or if there is nothing to capture."""

    order_id: str
    amount: int
    currency: str
    method: str
    reference: str
    deadline_at: int
    owner: str
    capture_method: CaptureMethod = "automatic"


class TryMethod(Message, tag="TryMethod/1", frozen=True):
    """From the order, its `number`th: the next attempt, made once the running one is known to have failed."""

    method: str
    reference: str
    number: int


class Close(Message, tag="Close/1", frozen=True):
    """From the order. Answered by PaymentClosed or PaymentCaptured, through the log. `reason` as in
    ClosingStarted, or no_order.
    """

    reason: str


class Capture(Message, tag="Capture/1", frozen=True):
    """From the order, once it is packed: take what was authorised. Asked for until the gateway says how it ended.

    Answered by PaymentCaptured or, if it can no longer be taken, PaymentClosed, through the log.
    """


class Refund(Message, tag="Refund/1", frozen=True):
    """From the order. `must`: the order does not stand, so it is asked for again until it works.

    Then `amount` is cut to what is left. Answered by PaymentRefunded or RefundFailed, through the log.
    """

    refund_id: str
    amount: int
    must: bool = False


class RecordCash(Message, tag="RecordCash/1", frozen=True):
    """From an order that was paid at the door. `owner`: of the order; empty in records from before it was told."""

    amount: int
    currency: str
    owner: str = ""


class GatewayNotified(Message, tag="GatewayNotified/1", frozen=True):
    """A webhook, or the shopper came back: look again. Believed in nothing.

    `event_id`, `event_type`: a webhook's own, so that it is on record.
    """

    intent_id: str | None = None
    event_id: str = ""
    event_type: str = ""


class IntentCreated(Message, tag="IntentCreated/1", frozen=True):
    """Answers CreateIntent of the same number. `outcome`: of the attempt, if there was one with it."""

    intent: str
    number: int = 1
    outcome: Outcome | None = None


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


class CaptureAnswered(Message, tag="CaptureAnswered/1", frozen=True):
    """Answers CaptureIntent of the same number: what the intent is now, captured or not."""

    number: int
    outcome: Outcome


class RefundAnswered(Message, tag="RefundAnswered/1", frozen=True):
    """Answers RefundIntent of the same number. Not `ok` is the gateway's refusal, not its silence."""

    refund_id: str
    number: int
    ok: bool
    code: str = ""
    raw: str = ""


class NoteRefundFailed(Message, tag="NoteRefundFailed/1", frozen=True):
    """The gateway had taken the `number`th try of a refund, and could not pay it back after all."""

    refund_id: str
    number: int
    code: str


class NoteDispute(Message, tag="NoteDispute/1", frozen=True):
    """A shopper's bank takes money back, or has ended doing so: what the gateway says of it now."""

    dispute: str
    amount: int
    currency: str
    reason: str
    status: str


class Poll(Message, tag="Poll/1", frozen=True):
    """Timer `poll`."""


class RetryRefunds(Message, tag="RetryRefunds/1", frozen=True):
    """Timer `refunds`: ask again for those that must be."""
