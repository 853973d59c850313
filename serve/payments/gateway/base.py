"""The port to a payment gateway: what the shop asks of one, whichever it is.

Amounts are integers of minor units. Every call carries a key of its own, so that a repetition is answered like the
first and moves no money again; every call has a deadline in seconds.
"""

from typing import Literal, Protocol

import msgspec

from actors.payment import CaptureMethod

Status = Literal[
    "requires_payment_method", "requires_action", "processing", "requires_capture", "succeeded", "canceled"
]


class GatewayTimeout(Exception):
    """No answer within the deadline. Whether the call was carried out is unknown: ask again under the same key."""


class GatewayUnavailable(Exception):
    """The gateway could not be reached or failed. Whether the call was carried out is unknown: ask again later."""


class GatewayRejected(Exception):
    """The gateway understood the call and will never carry it out. `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class MethodDetails(msgspec.Struct, frozen=True):
    """What tells a card to its owner and to nobody else: its brand (visa) and its number's last four digits."""

    brand: str
    last4: str


class IntentState(msgspec.Struct, frozen=True):
    """An intent as the gateway knows it.

    `attempt` is the key of the confirmation that the status and `code` speak of, None before the first.
    `code` says why the attempt failed. `action_url` is where the shopper goes next while `requires_action`.
    `method_details`: of the card that it speaks of, if it is one.
    """

    id: str
    session: str
    amount: int
    currency: str
    status: Status
    attempt: str | None = None
    code: str | None = None
    action_type: str | None = None
    action_url: str | None = None
    captured: int = 0
    refunded: int = 0
    method_details: MethodDetails | None = None


class RefundState(msgspec.Struct, frozen=True):
    """What became of one refund: paid back in full, or refused with a code."""

    refund_id: str
    amount: int
    ok: bool
    code: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A confirmation that goes with the creation of an intent; see `PaymentGateway.confirm`."""

    key: str
    method: str
    reference: str | None
    return_url: str


class PaymentGateway(Protocol):
    """Raises GatewayTimeout, GatewayUnavailable or GatewayRejected; `seconds` is the deadline of the call.

    `at`: when it was first asked for (UTC, milliseconds; 0: nobody knows). A gateway that forgets its keys looks up
    what became of an old one, and refuses it as `attempt_expired` if nothing did.
    """

    async def create_intent(
        self,
        session: str,
        amount: int,
        currency: str,
        *,
        attempt: Attempt | None = None,
        capture_method: CaptureMethod = "automatic",
        at: int = 0,
        seconds: float = 5.0,
    ) -> IntentState:
        """One intent a session: a repetition is answered with the intent that stands.

        With an `attempt` it is confirmed at once, and the answer is that of `confirm`. Manual: cards and wallets end as
        `requires_capture`, the money set aside; what cannot wait, such as a transfer, is captured as ever.
        """

    async def confirm(
        self,
        intent: str,
        *,
        key: str,
        method: str,
        reference: str | None,
        return_url: str,
        at: int = 0,
        seconds: float = 5.0,
    ) -> IntentState:
        """Start the attempt named `key`. It replaces one that waits for the shopper, and never one that may charge."""

    async def look_up(self, session: str, *, intent: str | None = None, seconds: float = 5.0) -> IntentState | None:
        """The session's intent as it is now; None if there never was one. `intent`: its id, if that is known."""

    async def cancel(self, intent: str, *, seconds: float = 5.0) -> IntentState:
        """Cancel what can be cancelled; the answer tells what is true afterwards (it may have succeeded before)."""

    async def capture(self, intent: str, *, key: str, seconds: float = 5.0) -> IntentState:
        """Take all that was set aside, once; the answer tells what is true afterwards, captured or not."""

    async def refund(
        self, intent: str, *, refund_id: str, amount: int, at: int = 0, seconds: float = 5.0
    ) -> RefundState:
        """Pay back `amount` of what was captured, once for each refund id."""

    async def close(self) -> None:
        """Give up what is under way. It is not used after it."""
