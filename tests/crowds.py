"""Crowds of shoppers who do not give up: each sends the very same request again until it is answered."""

import asyncio
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from serve.audit.auditing import audit
from serve.audit.copying import copy_shop, on_servers
from serve.audit.findings import Findings
from serve.audit.report import lines_of
from serve.settings import Settings
from tests.api.shopping import Json, bearer, body
from tests.running import RunningShop

ANSWER_SECONDS = 120.0
SETTLE_SECONDS = 120.0
PAUSE = 0.1
AUDIT_EVERY = 1.0


class Crowd:
    """`again` counts what made somebody repeat a request: an error of the connection, or a status from 500 up."""

    def __init__(self, url: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.AsyncClient(base_url=url, limits=limits, timeout=ANSWER_SECONDS)
        self.again: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, token: str = "", json: Json | None = None) -> httpx.Response:
        """The first answer below 500. Raises AssertionError when there is none within two minutes."""
        headers = {"Idempotency-Key": secrets.token_hex(8), **(bearer(token) if token else {})}
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWER_SECONDS
        while True:
            try:
                answer = await self._send(method, path, headers, json)
            except httpx.TransportError as error:
                why = type(error).__name__
            else:
                if answer.status_code < 500:
                    return answer
                why = str(answer.status_code) + ("" if "retry-after" in answer.headers else " without Retry-After")
            self.again[why] += 1
            assert loop.time() < until, f"{method} {path}: still {why}"
            await asyncio.sleep(PAUSE)

    async def _send(self, method: str, path: str, headers: dict[str, str], json: Json | None) -> httpx.Response:
        """Each single try goes through here."""
        return await self._client.request(method, path, headers=headers, json=json)

    async def fill(self, *skus: str) -> str:
        """One of each in the cart of a new guest, whose token this is."""
        token = ""
        for sku in skus:
            cart = body(await self.ask("POST", "/api/cart/items", token, {"sku": sku, "quantity": 1}))
            token = cart.get("guest_token", token)
        return token

    async def silence(self, token: str, sku: str) -> float:
        """Seconds until a cart can be changed again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                item = {"sku": sku, "quantity": 1}
                answer = await self._client.post("/api/cart/items", json=item, headers=bearer(token), timeout=1.0)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == 200:
                    return loop.time() - began
            assert loop.time() - began < ANSWER_SECONDS, "nobody answers"
            await asyncio.sleep(PAUSE)


async def until(condition: Callable[[], bool]) -> None:
    """Returns once it is so; TimeoutError after two minutes."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(PAUSE)


def looked(settings: Settings) -> Findings:
    """One audit, also of a shop on servers."""
    booked = settings.stripe_secret_key is None
    if not on_servers(settings):
        return audit(settings.data_dir, booked=booked)
    with tempfile.TemporaryDirectory() as folder:
        copy_shop(settings, Path(folder))
        return audit(Path(folder), booked=booked)


def adds_up(shop: RunningShop) -> None:
    """Waits until nothing is under way any more; damage fails at once."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        findings = looked(shop.settings)
        if findings.clean(settled=True):
            return
        lines = lines_of(findings, settled=True)
        assert not findings.damage, lines
        assert time.monotonic() < until, lines
        # An audit is work, which the shop on the same machine should not have to wait for all the time.
        time.sleep(AUDIT_EVERY)
