"""Signed webhooks: how the test gateway signs and sends them, and how the shop checks them.

The header is ``t=<unix seconds>,v1=<hex>[,v1=<hex>]``, each v1 an HMAC-SHA256 of ``<t>.<body>`` under one secret, so
that a secret can be changed while both are valid.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Protocol

import httpx

SIGNATURE_HEADER = "X-Gateway-Signature"
TOLERANCE_S = 300
CLOCK_SKEW_S = 5
IDLE_S = 1.0
GIVE_UP_S = 10.0

log = logging.getLogger(__name__)

Deliver = Callable[[bytes, str], Awaitable[bool]]


class BadSignature(Exception):
    """The webhook is not to be believed."""


def sign(secret: str, body: bytes, at: int) -> str:
    """The header for `body`, signed at `at` (unix seconds)."""
    return f"t={at},v1={_mac(secret, at, body)}"


def verify(secrets: Sequence[str], header: str, body: bytes, now: int, tolerance: int = TOLERANCE_S) -> None:
    """Check the header of `body` at `now` (unix seconds).

    Raises BadSignature if no secret made it, if it is older than `tolerance` seconds, or if it comes from the future
    (a replay could be dated so that it never grows old).
    """
    fields = [part.partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in fields if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        raise BadSignature("no timestamp")
    at = int(times[0])
    given = [value.encode() for name, value in fields if name == "v1"]
    made = [_mac(secret, at, body).encode() for secret in secrets if secret]
    if not any(hmac.compare_digest(one, other) for one in given for other in made):
        raise BadSignature("no signature matches")
    if at < now - tolerance:
        raise BadSignature("too old")
    if at > now + CLOCK_SKEW_S:
        raise BadSignature("from the future")


def _mac(secret: str, at: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()


class HttpDelivery:
    """Posts webhooks to one address; anything but a 2xx counts as not delivered."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def __call__(self, body: bytes, signature: str) -> bool:
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        try:
            answer = await self._client.post(self._url, content=body, headers=headers, timeout=GIVE_UP_S)
        except httpx.HTTPError:
            return False
        return answer.is_success


class Owed(Protocol):
    """What the sender needs of the gateway's book; the calls block and run in a thread."""

    def settle(self) -> None: ...
    def take_webhooks(self, limit: int = 64) -> list[tuple[int, bytes]]: ...
    def note_webhook(self, number: int, delivered: bool) -> None: ...
    def next_due(self) -> int | None: ...


class WebhookSender:
    """Sends what the book owes, in time, one after the other; what fails is tried again later."""

    def __init__(self, owed: Owed, secret: str, deliver: Deliver, now: Callable[[], int]) -> None:
        self._owed = owed
        self._secret = secret
        self._deliver = deliver
        self._now = now
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due: look now, not at the next turn."""
        self._woken.set()

    async def run(self) -> None:
        """Send for ever, until cancelled."""
        while True:
            self._woken.clear()
            try:
                pause = await self._turn()
            except Exception:
                log.exception("webhooks: a turn failed")
                pause = IDLE_S
            # Not wait_for: on Python 3.11 it can swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _turn(self) -> float:
        """Send what is due; seconds until the next look. A second process may plan something in the same file."""
        await asyncio.to_thread(self._owed.settle)
        for number, body in await asyncio.to_thread(self._owed.take_webhooks):
            delivered = await self._send(body)
            await asyncio.to_thread(self._owed.note_webhook, number, delivered)
        due = await asyncio.to_thread(self._owed.next_due)
        return IDLE_S if due is None else min(max((due - self._now()) / 1000, 0.0), IDLE_S)

    async def _send(self, body: bytes) -> bool:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                return await self._deliver(body, sign(self._secret, body, self._now() // 1000))
        except Exception:
            log.warning("webhooks: one was not delivered", exc_info=True)
            return False
