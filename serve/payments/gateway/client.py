"""The shop's side of the test gateway: the port, spoken to a desk near or far.

Calls gather while a batch is on its way, so that many at once cost one transaction and one trip.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from actors.payment import CaptureMethod
from serve.payments.gateway.base import (
    Attempt,
    GatewayRejected,
    GatewayTimeout,
    GatewayUnavailable,
    IntentState,
    RefundState,
)
from serve.payments.gateway.calls import (
    Call,
    Cancel,
    Capture,
    Confirm,
    Create,
    Decide,
    Find,
    OpenPage,
    Page,
    Problem,
    Refund,
    Reply,
)

Answer = TypeVar("Answer")
CarryOut = Callable[[Sequence[Call]], Awaitable[Sequence[Reply]]]
LARGEST_BATCH = 256
BATCH_SECONDS = 15.0


class GatewayClient:
    """Implements `PaymentGateway`, and the two calls of the hosted pages. Belongs to one event loop.

    The test gateway forgets no key, so it makes nothing of `at`.
    """

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out
        self._waiting: list[tuple[Call, asyncio.Future[Reply]]] = []
        self._pump: asyncio.Task[None] | None = None

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
        return _of(IntentState, await self._ask(Create(session, amount, currency, attempt, capture_method), seconds))

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
        return _of(IntentState, await self._ask(Confirm(intent, key, method, reference, return_url), seconds))

    async def look_up(self, session: str, *, intent: str | None = None, seconds: float = 5.0) -> IntentState | None:
        found = await self._ask(Find(session), seconds)
        return None if found is None else _of(IntentState, found)

    async def cancel(self, intent: str, *, seconds: float = 5.0) -> IntentState:
        return _of(IntentState, await self._ask(Cancel(intent), seconds))

    async def capture(self, intent: str, *, key: str, seconds: float = 5.0) -> IntentState:
        return _of(IntentState, await self._ask(Capture(intent), seconds))

    async def refund(
        self, intent: str, *, refund_id: str, amount: int, at: int = 0, seconds: float = 5.0
    ) -> RefundState:
        return _of(RefundState, await self._ask(Refund(intent, refund_id, amount), seconds))

    async def page(self, intent: str, number: int, *, seconds: float = 5.0) -> Page | None:
        """The hosted page of an attempt; None if there is none."""
        found = await self._ask(OpenPage(intent, number), seconds)
        return None if found is None else _of(Page, found)

    async def decide(self, intent: str, number: int, approve: bool, *, seconds: float = 5.0) -> Page | None:
        """The shopper's answer on that page; the page as it was before, None if there is none."""
        found = await self._ask(Decide(intent, number, approve), seconds)
        return None if found is None else _of(Page, found)

    async def close(self) -> None:
        """Give up what is under way; its callers see GatewayUnavailable."""
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump

    async def _ask(self, call: Call, seconds: float) -> Any:
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._carry_all(), name="gateway-calls")
        try:
            async with asyncio.timeout(seconds):
                reply = await answer
                await asyncio.sleep(reply.hold_ms / 1000)
        except TimeoutError:
            raise GatewayTimeout(f"no answer within {seconds} s") from None
        if reply.lost:
            # Raised at once: waiting for the deadline would only make everyone's tests slower.
            raise GatewayTimeout("the answer was lost on its way")
        if reply.failed:
            raise GatewayUnavailable("the gateway could not carry out the call")
        if isinstance(reply.result, Problem):
            raise GatewayRejected(reply.result.code, reply.result.detail)
        return reply.result

    async def _carry_all(self) -> None:
        batch: list[tuple[Call, asyncio.Future[Reply]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
                await self._carry(batch)
        finally:
            for _, answer in batch + self._waiting:
                if not answer.done():
                    answer.set_exception(GatewayUnavailable("the client was closed"))

    async def _carry(self, batch: list[tuple[Call, asyncio.Future[Reply]]]) -> None:
        """A caller that has gone away stops nobody: its future is done, and is left alone."""
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                replies = await self._carry_out([call for call, _ in batch])
        except Exception as failed:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(GatewayUnavailable(f"the gateway cannot be reached: {type(failed).__name__}"))
            return
        for (_, answer), reply in zip(batch, replies, strict=True):
            if not answer.done():
                answer.set_result(reply)


def _of(kind: type[Answer], found: object) -> Answer:
    if not isinstance(found, kind):
        raise GatewayUnavailable(f"the gateway answered with a {type(found).__name__}")
    return found
