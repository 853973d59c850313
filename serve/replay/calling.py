"""Calls that are repeated until the shop has spoken, under the same Idempotency-Key: nothing is done twice."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

PATIENCE = 180.0
"""Seconds after which a call that was never answered is given up."""
LONGEST_PAUSE = 15.0
BUSY = (429, 502, 503, 504)


class GaveUp(Exception):
    """The shop did not answer for a long time, or always that it is busy."""


class Calls:
    """A client with staff rights; with a guest's `token` a call is the guest's. `count`: requests sent, all tries."""

    def __init__(self, client: httpx.AsyncClient, patience: float = PATIENCE) -> None:
        self._client = client
        self._patience = patience
        self.count = 0
        self.repeated = 0

    async def send(
        self, method: str, path: str, *, json: Any = None, key: str | None = None, token: str | None = None
    ) -> httpx.Response:
        """The shop's answer, whatever it is but busy. Raises GaveUp."""
        headers: dict[str, str] = {}
        if key is not None:
            headers["Idempotency-Key"] = quote(key, safe="/")
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        tries = 0
        while True:
            pause = min(0.1 * 2**tries, LONGEST_PAUSE)
            self.count += 1
            self.repeated += tries > 0
            try:
                answer = await self._once(method, path, json, headers, guest=token is not None)
            except httpx.TransportError as error:
                why = f"{type(error).__name__} {error}"
            else:
                if answer.status_code not in BUSY:
                    return answer
                why = f"{answer.status_code} {answer.text[:200]}"
                pause = max(pause, _retry_after(answer.headers))
            if loop.time() + pause > until:
                raise GaveUp(f"{method} {path}: {why}")
            # Not all at the same moment: they would be turned away together again.
            await asyncio.sleep(pause * (1 + random.random() / 4))
            tries += 1

    async def _once(self, method: str, path: str, json: Any, headers: dict[str, str], guest: bool) -> httpx.Response:
        if guest:
            return await self._client.request(method, path, json=json, headers=headers, auth=None)
        return await self._client.request(method, path, json=json, headers=headers)


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(float(headers.get("retry-after", "0")), 60.0)
    except ValueError:
        return 0.0


def problem_of(answer: httpx.Response) -> str:
    """Why the shop refused, in short: the problem's code and its detail."""
    try:
        body = answer.json()
        return f"{body['code']}: {body['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"
