"""What one secret key sees: its ledger, its idempotency keys, the faults it is to meet, and where its webhooks go."""

import asyncio
import copy
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx

from tests.stripe_wire.errors import Refused
from tests.stripe_wire.ledger import Ledger, Object

TRIES = 6


@dataclass
class Fault:
    """What happens to the next `times` requests whose path contains `path`.

    `status`: the answer instead; with `done` it is carried out before, with `kept` it is the key's answer for ever.
    `lost`: carried out, and the answer breaks off.
    `seconds`: it takes that much longer.
    """

    path: str = ""
    times: int = 1
    status: int = 0
    retry_after: float | None = None
    done: bool = False
    kept: bool = False
    lost: bool = False
    seconds: float = 0.0


@dataclass
class Kept:
    """What was asked under an idempotency key, and what it was answered; None while it is under way."""

    asked: str
    answer: tuple[int, bytes] | None = None


@dataclass
class Request:
    method: str
    path: str
    key: str
    status: int


@dataclass
class Hook:
    """Where webhooks go. `held`: they wait until they are released, in whatever order."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    held: bool = False


class Account:
    def __init__(self, pages: str) -> None:
        self.ledger = Ledger(time.time, pages, self._tell)
        self.kept: dict[str, Kept] = {}
        self.faults: list[Fault] = []
        self.failed: set[str] = set()
        self.requests: list[Request] = []
        self.events: list[Object] = []
        self.hook = Hook()
        self._sending: set[asyncio.Task[None]] = set()

    def fault(self, path: str) -> Fault | None:
        for one in self.faults:
            if one.times > 0 and one.path in path:
                one.times -= 1
                return one
        return None

    def begin(self, key: str, asked: str) -> tuple[int, bytes] | None:
        """The answer that a key has had; None if this is the first with it. Raises Refused."""
        kept = self.kept.get(key)
        if kept is None:
            self.kept[key] = Kept(asked)
            return None
        if kept.asked != asked:
            text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            raise Refused(400, "idempotency_error", text)
        if kept.answer is None:
            raise Refused(409, "invalid_request_error", "Still under way.", code="idempotency_key_in_use")
        return kept.answer

    def _tell(self, kind: str, about: Object, copies: int, after: float) -> None:
        event = {
            "id": f"evt_{len(self.events):06d}{secrets.token_hex(6)}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(time.time()),
            "livemode": False,
            "type": kind,
            "data": {"object": copy.deepcopy(about)},
        }
        self.events.append(event)
        if self.hook.url and not self.hook.held:
            for _ in range(copies):
                self.send(event, after)

    def send(self, event: Object, after: float = 0.0) -> None:
        """Sends it in `after` seconds, and again until it is taken or it has had enough tries."""
        task = asyncio.get_running_loop().create_task(self._send(json.dumps(event).encode(), after))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, body: bytes, after: float) -> None:
        await asyncio.sleep(after)
        async with httpx.AsyncClient(timeout=10.0) as http:
            for number in range(TRIES):
                headers = {"Content-Type": "application/json", "Stripe-Signature": self._signature(body)}
                try:
                    if (await http.post(self.hook.url, content=body, headers=headers)).is_success:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1 * 2**number)

    def _signature(self, body: bytes) -> str:
        at = int(time.time())
        made = [hmac.new(one.encode(), f"{at}.".encode() + body, sha256).hexdigest() for one in self.hook.secrets]
        return ",".join([f"t={at}", *(f"v1={one}" for one in made)])

    def shown(self) -> dict[str, Any]:
        """For tests: everything that it has."""
        ledger = self.ledger
        kinds = {
            "intents": ledger.intents,
            "charges": ledger.charges,
            "refunds": ledger.refunds,
            "disputes": ledger.disputes,
            "pages": ledger.hosted,
        }
        return {name: list(found.values()) for name, found in kinds.items()} | {
            "events": self.events,
            "requests": [vars(one) for one in self.requests],
        }
