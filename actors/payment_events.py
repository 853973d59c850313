"""What happens to a payment session. Amounts are minor units of its currency.

`raw`: the gateway's answer as JSON, without what grants anything; empty where there was none, and in old records.
"""

from actors.decision import Message
from actors.order_commands import CaptureMethod


class SessionOpened(Message, tag="SessionOpened/1", frozen=True):
    amount: int
    currency: str
    method: str
    reference: str
    deadline_at: int
    owner: str
    capture_method: CaptureMethod = "automatic"


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
    raw: str = ""


class PaymentProcessing(Message, tag="PaymentProcessing/1", frozen=True):
    pass


class PaymentAuthorised(Message, tag="PaymentAuthorised/1", frozen=True):
    """The money is set aside for the shop and not moved yet. `brand` and `last4` as in PaymentCaptured."""

    amount: int
    currency: str
    brand: str = ""
    last4: str = ""
    raw: str = ""


class CaptureAsked(Message, tag="CaptureAsked/1", frozen=True):
    number: int


class CaptureEnded(Message, tag="CaptureEnded/1", frozen=True):
    """The gateway did not capture; it is looked at again before it is asked again."""

    number: int


class PaymentCaptured(Message, tag="PaymentCaptured/1", frozen=True):
    """`brand` and `last4`: of the card, if it was one and the gateway told; empty in old records."""

    amount: int
    currency: str
    brand: str = ""
    last4: str = ""
    raw: str = ""


class PaymentFailed(Message, tag="PaymentFailed/1", frozen=True):
    """The attempt failed; another may follow."""

    code: str
    raw: str = ""


class PaymentClosed(Message, tag="PaymentClosed/1", frozen=True):
    """No money moved and none will. `reason` as in Close, or `gateway` if it cancelled by itself."""

    reason: str
    raw: str = ""


class RefundStarted(Message, tag="RefundStarted/1", frozen=True):
    refund_id: str
    amount: int
    must: bool
    number: int


class PaymentRefunded(Message, tag="PaymentRefunded/1", frozen=True):
    refund_id: str
    amount: int
    currency: str
    raw: str = ""


class RefundFailed(Message, tag="RefundFailed/1", frozen=True):
    """`final`: it is not asked for again. `reverses`: the gateway had taken it, so it takes a PaymentRefunded back."""

    refund_id: str
    code: str
    final: bool
    raw: str = ""
    reverses: bool = False


class WebhookReceived(Message, tag="WebhookReceived/1", frozen=True):
    """The gateway sent news, and signed it: the session looks at the gateway, and changes nothing because of it."""

    event_id: str
    event_type: str
    intent: str


class DisputeNoted(Message, tag="DisputeNoted/1", frozen=True):
    """A shopper disputes the payment at their bank. `status` as the gateway names it: needs_response, won, lost ..."""

    dispute: str
    amount: int
    currency: str
    reason: str
    status: str


class CashRecorded(Message, tag="CashRecorded/1", frozen=True):
    """`owner`: of the order; empty in records from before it was told."""

    amount: int
    currency: str
    owner: str = ""
