"""Everything that moved money, tried to, or told of it, as rows that are only ever added.

A row follows from the events of its session alone, so that the rows can be dropped and made again from the log, and
are the same. Amounts are minor units, times UTC milliseconds.
"""

from typing import NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from actors import payment
from pipelines.flow import Flow, Limits
from pipelines.log.base import Happened

NAME = "keep_transactions"
CASH = "cash_on_delivery"
LONGEST_DETAIL = 255

Event: TypeAlias = (
    payment.SessionOpened
    | payment.IntentMade
    | payment.AttemptStarted
    | payment.PaymentActionRequired
    | payment.PaymentAuthorised
    | payment.PaymentCaptured
    | payment.PaymentFailed
    | payment.PaymentClosed
    | payment.RefundStarted
    | payment.PaymentRefunded
    | payment.RefundFailed
    | payment.CashRecorded
    | payment.WebhookReceived
    | payment.DisputeNoted
)


class Transaction(NamedTuple):
    """`kind`: attempt, action_required, authorisation, capture, decline, refund, refund_failed, refund_reversed,
    cancellation, dispute or webhook. What moved: captures, less refunds, plus those that were reversed.

    `version`: the session's; `number`: its place among the events of that decision. `attempt` is 0 before the first.
    `amount` is what it is about, 0 for news. `reference`: the gateway's name for the session, empty until it gave one.
    `detail`: a code, the reason, the kind of action, the refund's or the webhook's id. `raw`: what the gateway
    answered, redacted.
    """

    event_id: str
    version: int
    number: int
    session: str
    kind: str
    attempt: int
    amount: int
    currency: str
    method: str
    reference: str
    detail: str
    at: int
    raw: str


class Session(msgspec.Struct, frozen=True):
    """What rows need of the events before. `version`, `number`: the place of the last one."""

    version: int = 0
    number: int = -1
    amount: int = 0
    currency: str = ""
    method: str = ""
    intent: str = ""
    attempt: int = 0
    refunds: dict[str, int] = {}


class KeepsTransactions(Protocol):
    async def keep(self, happened: Happened, event: Event) -> None:
        """Adds the event's row, if it makes one, in one transaction with its session; a second time changes nothing."""
        ...


def followed(session: Session, happened: Happened, event: Event) -> tuple[Session, Transaction | None]:
    """The session after an event, and the event's row."""
    after = _after(session, event)
    told = _told(after, event)
    row = None
    if told is not None:
        kind, amount, detail = told
        row = Transaction(
            event_id=happened.id,
            version=happened.version,
            number=happened.index,
            session=happened.entity,
            kind=kind,
            attempt=after.attempt,
            amount=amount,
            currency=after.currency,
            method=after.method,
            reference=after.intent,
            detail=detail[:LONGEST_DETAIL],
            at=happened.at,
            raw=getattr(event, "raw", ""),
        )
    return replace(after, version=happened.version, number=happened.index), row


def _after(session: Session, event: Event) -> Session:
    match event:
        case payment.SessionOpened(amount, currency, method):
            return replace(session, amount=amount, currency=currency, method=method)
        case payment.IntentMade(intent):
            return replace(session, intent=intent)
        case payment.AttemptStarted(attempt, method):
            return replace(session, attempt=attempt, method=method)
        case payment.CashRecorded(amount, currency):
            return replace(session, amount=amount, currency=currency, method=CASH)
        case payment.RefundStarted(refund_id, amount):
            return replace(session, refunds={**session.refunds, refund_id: amount})
        case _:
            return session


def _told(session: Session, event: Event) -> tuple[str, int, str] | None:
    """Kind, amount and detail of the event's row."""
    match event:
        case payment.AttemptStarted():
            return "attempt", session.amount, ""
        case payment.PaymentActionRequired(kind=kind):
            return "action_required", session.amount, kind
        case payment.PaymentAuthorised(amount, brand=brand, last4=last4):
            return "authorisation", amount, f"{brand} {last4}".strip()
        case payment.PaymentCaptured(amount, brand=brand, last4=last4):
            return "capture", amount, f"{brand} {last4}".strip()
        case payment.CashRecorded(amount):
            return "capture", amount, ""
        case payment.PaymentFailed(code):
            return "decline", session.amount, code
        case payment.PaymentClosed(reason):
            return "cancellation", session.amount, reason
        case payment.PaymentRefunded(refund_id, amount):
            return "refund", amount, refund_id
        case payment.RefundFailed(refund_id, code, reverses=reverses):
            kind = "refund_reversed" if reverses else "refund_failed"
            return kind, session.refunds.get(refund_id, 0), f"{refund_id} {code}"
        case payment.DisputeNoted(dispute, amount, reason=reason, status=status):
            return "dispute", amount, f"{dispute} {status} {reason}"
        case payment.WebhookReceived(event_id, event_type):
            return "webhook", 0, f"{event_id} {event_type}"
        case _:
            return None


def keep_transactions(transactions: KeepsTransactions) -> Flow:
    """Events of payment sessions -> rows."""

    async def handle(happened: Happened, event: Event) -> None:
        await transactions.keep(happened, event)

    return Flow(NAME, {"payment": Event.__args__}, handle, limits=Limits(in_flight=256))
