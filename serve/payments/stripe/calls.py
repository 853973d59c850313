"""One call to Stripe: its own timeouts, tries and circuit around stripe-python, and errors that tell nothing away.

A call without an answer is an unknown outcome; it is made again under the same idempotency key until the deadline.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
import stripe
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from serve.circuit import Circuit
from serve.payments.gateway.base import GatewayTimeout, GatewayUnavailable

T = TypeVar("T")

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
"""Of one try; banks take their time. A call may have several before its deadline."""

CONNECTIONS = 100

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LONGEST_WISH = 60.0
"""What we believe of a Retry-After, in seconds."""

REFUSALS = (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError)
"""Stripe understood the call, and will say the same if it is asked again."""


class KeptFailure(GatewayUnavailable):
    """Stripe has kept its failure for this key, and will say nothing else to it: only looking tells what was done."""


log = logging.getLogger("troupe.payments")
# What it logs of requests and errors may have more in it than is anybody's business.
logging.getLogger("stripe").setLevel(logging.WARNING)


class _Http(stripe.HTTPClient):
    """stripe-python's own client of httpx hands it bodies in a way that httpx is about to drop."""

    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._client = httpx.AsyncClient(timeout=timeout, limits=limits)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = await self._client.request(method, url, headers=headers, content=post_data or None)
        except httpx.HTTPError as error:
            # Not chained: it has the request in it, and that the key.
            raise stripe.APIConnectionError(type(error).__name__) from None  # type: ignore[no-untyped-call]
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._client.aclose()


class StripeCalls:
    """For one event loop. `base`: where Stripe's API is, if not where it always is."""

    def __init__(
        self,
        key: str,
        *,
        base: str = "",
        circuit: Circuit | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = _Http()
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": base.rstrip("/")} if base else None,
            http_client=self._http,
            max_network_retries=0,
        )
        self.v1 = self._client.v1
        self._circuit = circuit or Circuit("stripe")
        self._now = monotonic
        self._not_before = 0.0

    @property
    def up(self) -> bool:
        """Whether Stripe answered lately."""
        return self._circuit.up

    async def close(self) -> None:
        await self._http.close_async()

    def within(self, seconds: float) -> "Within":
        """Runs the calls that one operation takes, which has `seconds` for all of them."""
        return Within(self, seconds, self._now)

    async def run(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Makes the call, and again while Stripe does not say how it ended: each time the same, under the same key.

        Raises what is in REFUSALS, GatewayTimeout, GatewayUnavailable.
        """
        tries = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            wait=self._pause,
            stop=stop_before_delay(seconds),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(seconds):
                return await tries(self._once, call)
        except TimeoutError:
            self._circuit.failed()
            raise GatewayTimeout(f"no answer within {seconds:g} s") from None
        except REFUSALS:
            raise
        except stripe.StripeError as error:
            # Not chained, and without its text: it repeats what was sent and what was answered.
            kind = KeptFailure if _is_kept(error) else GatewayUnavailable
            raise kind(f"Stripe: {_named(error)}") from None

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._now() < self._not_before:
            raise GatewayUnavailable("Stripe asked us to wait")
        if not self._circuit.may_try():
            raise GatewayUnavailable("Stripe is away")
        try:
            answer = await call()
        except stripe.StripeError as error:
            self._learn(error)
            raise
        self._circuit.worked()
        return answer

    def _learn(self, error: stripe.StripeError) -> None:
        status = error.http_status or 0
        if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
            log.error("Stripe does not take our key: %s", _named(error))
            self._circuit.failed()
        elif status == 0 or status >= 500:
            self._circuit.failed()
        else:
            self._circuit.worked()
        if isinstance(error, stripe.RateLimitError) and (wish := _wish(error)) is not None:
            # It holds for all of us, not only for this call.
            self._not_before = max(self._not_before, self._now() + wish)

    def _pause(self, state: RetryCallState) -> float:
        backoff = wait_random_exponential(FIRST_PAUSE, LONGEST_PAUSE, min=FIRST_PAUSE / 2)(state)
        return max(float(backoff), self._not_before - self._now())


class Within:
    """Calls with one deadline."""

    def __init__(self, calls: StripeCalls, seconds: float, monotonic: Callable[[], float]) -> None:
        self._calls = calls
        self._until = monotonic() + seconds
        self._now = monotonic

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """As `StripeCalls.run`."""
        left = self._until - self._now()
        if left <= 0:
            raise GatewayTimeout("the calls before took all the time")
        return await self._calls.run(call, left)


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may end otherwise."""
    if isinstance(error, stripe.APIConnectionError | stripe.RateLimitError):
        return True
    if not isinstance(error, stripe.APIError):
        return False
    if _is_kept(error):
        return False
    status = error.http_status or 0
    return status == 409 or status >= 500 or status < 400


def _is_kept(error: stripe.StripeError) -> bool:
    told = str((error.headers or {}).get("stripe-should-retry", "")).lower()
    return (error.http_status or 0) >= 500 and told == "false"


def _wish(error: stripe.StripeError) -> float | None:
    text = str((error.headers or {}).get("retry-after", ""))
    try:
        wish = float(text)
    except ValueError:
        return None
    return min(wish, LONGEST_WISH) if wish > 0 else None


def _named(error: stripe.StripeError) -> str:
    return f"{type(error).__name__} {error.http_status or ''} {error.code or ''} {error.request_id or ''}".strip()
