"""What the payment service does: takes the gateway's news to the session that it is about, and shows a session."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from actors.order import OrderView
from actors.payment import GatewayNotified, PaymentView
from actors.runtime.ports import Entities
from serve.gateway import clock
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, declare
from serve.payments.gateway.outgoing import WebhookEvent
from serve.payments.gateway.webhooks import BadSignature, verify
from serve.payments.schemas import PaymentBody, body

BAD_SIGNATURE = declare("bad_signature", 400, "The webhook is not to be believed")


class Payments:
    """`secrets` sign webhooks; while one is being replaced there are two."""

    def __init__(self, entities: Entities, secrets: Sequence[str], now: Callable[[], int] = clock.now_ms) -> None:
        self._entities = entities
        self._secrets = tuple(secrets)
        self._now = now

    async def take_webhook(self, raw: bytes, signature: str | None) -> None:
        """Tell the session to look at the gateway again. Copies of one webhook are one command: its id is the event's.

        Raises Problem `bad_signature` or `invalid_request`; Overloaded or Unavailable, and the gateway sends it again.
        """
        try:
            verify(self._secrets, signature or "", raw, self._now() // 1000)
        except BadSignature as bad:
            raise Problem(BAD_SIGNATURE, f"The signature was refused: {bad}.") from None
        try:
            event = msgspec.json.decode(raw, type=WebhookEvent)
        except msgspec.MsgspecError as error:
            raise Problem("invalid_request", f"Not an event of the gateway: {error}.") from None
        command_id = blake2b(f"webhook\0{event.id}".encode(), digest_size=16).hexdigest()
        news = GatewayNotified(event.intent, event.id, event.type)
        await self._entities.ask("payment", event.session, news, command_id=command_id)

    async def note_return(self, session: str) -> None:
        """The shopper's browser is back from the gateway: look what came of it. Raises Problem `not_found`."""
        # Anyone may call this, so nothing is written for a session that never was.
        if (await self._entities.read("payment", session)).version == 0:
            raise Problem("not_found", "There is no such payment.")
        await self._entities.ask("payment", session, GatewayNotified())

    async def show(self, principal: Principal, session: str, at_least: int = 0) -> PaymentBody:
        """For staff, the owner of its order, and who checked out; for everyone else there is no such payment."""
        answer = await self._entities.read("payment", session, at_least=at_least)
        view = answer.reply
        if not isinstance(view, PaymentView) or answer.version == 0 or not await self._may_see(principal, view):
            raise Problem("not_found", "There is no such payment.")
        return body(view, answer.version)

    async def _may_see(self, principal: Principal, view: PaymentView) -> bool:
        if principal.is_staff:
            return True
        if principal.kind == "anonymous":
            return False
        if principal.key == view.owner:
            return True
        # The session knows who checked out. Whose a guest's order is since then, the order knows.
        order = (await self._entities.read("order", view.id)).reply
        return isinstance(order, OrderView) and order.owner == principal.key
