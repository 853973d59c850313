"""An order's steps as they happen, for server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from actors.order import OrderView
from actors.runtime.ports import Entities, Overloaded, Unavailable
from serve.gateway import clock
from serve.gateway.lean import Event
from serve.orders.bodies import history_step

HEARTBEAT_SECONDS = 15.0
LONGEST_SECONDS = 900.0
"""After this a stream ends and the browser comes back with Last-Event-ID, perhaps to another replica."""

_ENDED = ("rejected", "cancelled", "delivered")


def is_final(view: OrderView) -> bool:
    """Nothing more will happen by itself: the order has ended and no refund is under way."""
    return view.status in _ENDED and not any(refund.status == "requested" for refund in view.refunds)


def last_seen(header: str | None) -> int:
    """How many steps the reader has had, from Last-Event-ID; 0 if it says nothing sensible."""
    if header is None or not header.isascii() or not header.isdigit() or len(header) > 9:
        return 0
    return int(header)


async def steps(
    entities: Entities,
    view: OrderView,
    version: int,
    seen: int,
    *,
    heartbeat: float = HEARTBEAT_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> AsyncIterator[Event | None]:
    """One event for each step of the history after the first `seen`, its number as id; `end` once the order is final.

    None, at least every `heartbeat` seconds, keeps the connection alive. A trouble of the entity's host is waited out.
    """
    ends_at = clock.monotonic() + longest
    while True:
        for number, step in enumerate(view.history[seen:], seen + 1):
            state = {"status": view.status, "payment_status": view.payment_status, "version": version}
            yield Event("step", {**msgspec.to_builtins(history_step(step)), **state}, str(number))
        seen = max(seen, len(view.history))
        if is_final(view):
            yield Event("end", {"status": view.status, "payment_status": view.payment_status})
            return
        if clock.monotonic() >= ends_at:
            return
        yield None
        pause = heartbeat
        with suppress(TimeoutError, Overloaded, Unavailable):
            answer = await entities.watch("order", view.id, beyond=version, seconds=heartbeat)
            pause = 0
            if answer.version > version:
                assert isinstance(answer.reply, OrderView)
                view, version = answer.reply, answer.version
        await asyncio.sleep(min(pause, 1.0))
