"""What travels between the shop and the test gateway's book: calls, and replies to them."""

from typing import Any

import msgspec

from actors.payment import CaptureMethod
from serve.payments.gateway.base import Attempt, IntentState, RefundState


class Create(msgspec.Struct, frozen=True):
    session: str
    amount: int
    currency: str
    attempt: Attempt | None = None
    capture_method: CaptureMethod = "automatic"


class Confirm(msgspec.Struct, frozen=True):
    intent: str
    key: str
    method: str
    reference: str | None
    return_url: str


class Find(msgspec.Struct, frozen=True):
    session: str


class Cancel(msgspec.Struct, frozen=True):
    intent: str


class Capture(msgspec.Struct, frozen=True):
    intent: str


class Refund(msgspec.Struct, frozen=True):
    intent: str
    refund_id: str
    amount: int


class OpenPage(msgspec.Struct, frozen=True):
    """The hosted page of one attempt."""

    intent: str
    number: int


class Decide(msgspec.Struct, frozen=True):
    """The shopper's answer on the hosted page."""

    intent: str
    number: int
    approve: bool


Call = Create | Confirm | Find | Cancel | Capture | Refund | OpenPage | Decide


class Page(msgspec.Struct, frozen=True):
    """What the hosted page shows. `open` is false once the attempt is over or was replaced."""

    intent: str
    number: int
    amount: int
    currency: str
    action: str
    return_url: str
    open: bool
    abandoned: bool


class Problem(msgspec.Struct, frozen=True):
    """A call that is not carried out, and never will be."""

    code: str
    detail: str


Result = IntentState | RefundState | Page | Problem | None


class Reply(msgspec.Struct, frozen=True):
    """`lost`: carried out, and this answer never arrives. `hold_ms`: it arrives that much later.

    `failed`: the book could not carry it out this time.
    """

    result: Any = None
    lost: bool = False
    hold_ms: int = 0
    failed: bool = False


class Account(msgspec.Struct, frozen=True):
    """What the gateway holds for one session, for the audit: amounts in minor units."""

    session: str
    intent: str
    currency: str
    amount: int
    status: str
    captures: int
    captured: int
    refunded: int
