"""What a payment session asks of the gateway.

Each request has a `key`: the gateway does a thing once for each key, however often it is asked. An executor answers
only with what the gateway said; as long as it said nothing (a timeout, a 500) it asks again under the same key.
Gateways forget keys, so requests say since when they stand: `at`, UTC in milliseconds, 0 in old records.
"""

from actors.decision import Message
from actors.order_commands import CaptureMethod


def attempt_key(session: str, attempt: int) -> str:
    """The same for an attempt, whichever call it travels in."""
    return f"{session}/attempt/{attempt}"


class CreateIntent(Message, tag="CreateIntent/1", frozen=True):
    """Effect: an intent and its first attempt in one call. `number` grows only when the gateway had refused.

    `attempt` 0: no attempt yet, as it was asked for before the two were one.
    """

    session: str
    amount: int
    currency: str
    number: int = 1
    attempt: int = 0
    method: str = ""
    reference: str = ""
    at: int = 0
    capture_method: CaptureMethod = "automatic"

    @property
    def key(self) -> str:
        return f"{self.session}/intent/{self.number}"

    @property
    def attempt_key(self) -> str:
        return attempt_key(self.session, self.attempt)


class ConfirmIntent(Message, tag="ConfirmIntent/1", frozen=True):
    """Effect. `method` is card, bank_redirect or wallet, `reference` the gateway's name for the shopper's means."""

    session: str
    intent: str
    attempt: int
    method: str
    reference: str
    at: int = 0

    @property
    def key(self) -> str:
        return attempt_key(self.session, self.attempt)


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


class CaptureIntent(Message, tag="CaptureIntent/1", frozen=True):
    """Effect: take what was authorised. If it cannot be taken that is no error: the answer says what the intent is."""

    session: str
    intent: str
    number: int = 1

    @property
    def key(self) -> str:
        return f"{self.session}/capture/{self.number}"


class RefundIntent(Message, tag="RefundIntent/1", frozen=True):
    """Effect. `number` grows only when the gateway had refused."""

    session: str
    intent: str
    refund_id: str
    amount: int
    number: int = 1
    at: int = 0

    @property
    def key(self) -> str:
        return f"{self.session}/refund/{self.refund_id}/{self.number}"
