"""Stripe's errors: a status and an object."""

from typing import Any


class Refused(Exception):
    """`intent`: the payment intent that the error speaks of, as it is after it."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        intent: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        told = {"type": kind, "message": message, "code": code, "param": param, "decline_code": decline_code}
        self.body: dict[str, Any] = {"error": {name: value for name, value in told.items() if value is not None}}
        if intent is not None:
            self.body["error"]["payment_intent"] = intent


def missing(what: str, name: str, param: str) -> Refused:
    text = f"No such {what}: '{name}'"
    return Refused(404, "invalid_request_error", text, code="resource_missing", param=param)


def unexpected(intent: dict[str, Any], what: str) -> Refused:
    text = f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}."
    return Refused(400, "invalid_request_error", text, code="payment_intent_unexpected_state", intent=intent)
