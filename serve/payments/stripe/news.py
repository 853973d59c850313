"""Stripe's webhooks: each makes the payment session look at Stripe again, once, and is believed in nothing else.

So it does not matter whether one comes early, late, out of order or never: the session asks by itself, too.
"""

import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
from prometheus_client import Counter

from actors.decision import Message
from actors.payment import GatewayNotified, NoteDispute, NoteRefundFailed
from actors.runtime.ports import Entities
from serve.gateway import clock
from serve.gateway.problems import Problem
from serve.payments.gateway.base import GatewayRejected, GatewayTimeout, GatewayUnavailable
from serve.payments.gateway.webhooks import BadSignature, verify
from serve.payments.inbox import Inbox
from serve.payments.service import BAD_SIGNATURE
from serve.payments.stripe.intents import SESSION, Dispute, PaidBack

SIGNATURE_HEADER = "Stripe-Signature"
DISPUTE = "charge.dispute."
REFUNDS = ("refund.failed", "refund.updated", "charge.refund.updated")
"""News of refunds that Stripe had accepted before."""

WEBHOOKS = Counter("troupe_stripe_webhooks_total", "Stripe's webhooks that were dealt with, and how.", ["outcome"])
DISPUTES = Counter(
    "troupe_payment_disputes_total", "Times that the state of a dispute was told, by that state.", ["status"]
)
REFUNDS_FAILED = Counter("troupe_refunds_failed_later_total", "Refunds that Stripe had accepted, and that then failed.")
log = logging.getLogger("troupe.payments")


class StripeData(msgspec.Struct, frozen=True):
    object: dict[str, Any]


class StripeEvent(msgspec.Struct, frozen=True):
    """What of an event is looked at; Stripe sends much more."""

    id: str
    type: str
    data: StripeData


class Asks(Protocol):
    """What of Stripe is asked because of a webhook. Raises GatewayTimeout, GatewayUnavailable or GatewayRejected."""

    async def session_of(self, intent: str) -> str: ...
    async def dispute(self, name: str) -> Dispute: ...
    async def paid_back(self, name: str) -> PaidBack: ...


class StripeNews:
    """`secrets` sign webhooks; while one is being replaced there are two. Without any, none is believed.

    `inbox`: None without secrets. `stripe`: None without a key; then nothing but a session's own news is looked into.
    """

    def __init__(
        self,
        entities: Entities,
        stripe: Asks | None,
        inbox: Inbox | None,
        secrets: Sequence[str],
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._entities = entities
        self._stripe = stripe
        self._inbox = inbox
        self._secrets = tuple(secrets)
        self._now = now

    async def take(self, raw: bytes, signature: str | None, event: StripeEvent) -> None:
        """Deals with an event once, however often it comes.

        Raises Problem `bad_signature` or `unavailable`; Overloaded or Unavailable, and Stripe sends it again.
        """
        try:
            verify(self._secrets, signature or "", raw, self._now() // 1000)
        except BadSignature as bad:
            raise Problem(BAD_SIGNATURE, f"The signature was refused: {bad}.") from None
        inbox = self._inbox
        assert inbox is not None
        if await inbox.has(event.id):
            WEBHOOKS.labels("repeated").inc()
            return
        try:
            session = await self._tell(event)
        except (GatewayTimeout, GatewayUnavailable):
            raise Problem("unavailable", "Stripe cannot be asked what this is about.") from None
        except GatewayRejected:
            session = ""
        await inbox.note(event.id, event.type, session, self._now())
        WEBHOOKS.labels("told" if session else "not_ours").inc()

    async def _tell(self, event: StripeEvent) -> str:
        """The session that was told; empty if the event is about none of ours."""
        about = event.data.object
        intent = _text(about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent"))
        session = _text((about.get("metadata") or {}).get(SESSION))
        if not session and intent and self._stripe is not None:
            session = await self._stripe.session_of(intent)
        if not session or (await self._entities.read("payment", session)).version == 0:
            return ""
        # Of no intent by name: for who pays on Stripe's page the page stands for it, and here it is the page's intent.
        await self._ask(session, GatewayNotified(None, event.id, event.type), event.id)
        if event.type.startswith(DISPUTE) and self._stripe is not None:
            dispute = await self._stripe.dispute(_text(about.get("id")))
            noted = NoteDispute(dispute.id, dispute.amount, dispute.currency, dispute.reason, dispute.status)
            await self._ask(session, noted, f"{event.id}/dispute")
            DISPUTES.labels(dispute.status).inc()
            log.warning(
                "payment %s is disputed: %s %s, %s, over %d",
                session,
                dispute.id,
                dispute.status,
                dispute.reason,
                dispute.amount,
            )
        elif event.type in REFUNDS and self._stripe is not None:
            await self._tell_of_refund(session, await self._stripe.paid_back(_text(about.get("id"))))
        return session

    async def _tell_of_refund(self, session: str, refund: PaidBack) -> None:
        """Whatever the event says, the session hears of it only if the refund of its own has failed, and once."""
        refund_id, _, number = refund.key.removeprefix(f"{session}/refund/").rpartition("/")
        if not refund.failed or not refund.key.startswith(f"{session}/refund/") or not number.isdigit():
            return
        # By the refund's name: Stripe tells of one failure in several events.
        if await self._ask(session, NoteRefundFailed(refund_id, int(number), refund.code), f"{refund.key}/failed"):
            REFUNDS_FAILED.inc()
            log.error("refund %s of payment %s failed after Stripe accepted it: %s", refund_id, session, refund.code)

    async def _ask(self, session: str, command: Message, name: str) -> bool:
        """False: it had been told before."""
        command_id = blake2b(f"stripe\0{name}".encode(), digest_size=16).hexdigest()
        answer = await self._entities.ask("payment", session, command, command_id=command_id)
        return not answer.repeated


def _text(value: object) -> str:
    """What is no text, such as an expanded object, is none."""
    return value if isinstance(value, str) else ""
