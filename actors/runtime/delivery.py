"""Durable sends: each message goes again until its receiver has made it durable, in order within a pair.

Only the oldest message of a pair is ever under way, so nothing can overtake it, in this incarnation or the next.
"""

import asyncio
from functools import partial

from actors.runtime.open_work import OpenSend, Pair
from actors.runtime.parts import Parts
from actors.runtime.shard import Shard
from actors.runtime.wire import Envelope, Mode, Result, Status


class Delivery:
    """The messages under way of all shards of a host."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # By the shard's incarnation: one that is over must not keep the next from sending.
        self._busy: set[tuple[Shard, Pair]] = set()
        # How many of a pair's oldest messages an earlier incarnation may have sent already.
        self._old: dict[tuple[Shard, Pair], int] = {}
        self.stuck: dict[str, int] = {}

    def offer(self, shard: Shard, pair: Pair) -> None:
        """Something new may be there to send."""
        key = (shard, pair)
        if key not in self._busy and shard.owed.head(pair) is not None:
            self._busy.add(key)
            self._send(shard, pair, 0)

    def resume(self, shard: Shard) -> None:
        """All that the shard owed when it was taken over; it may have been sent before."""
        for pair, queue in list(shard.owed.sends.items()):
            self._old[shard, pair] = len(queue)
            self.offer(shard, pair)

    def _send(self, shard: Shard, pair: Pair, attempt: int) -> None:
        head = shard.owed.head(pair)
        while head is not None and self._parts.time.now() - head.at > self._parts.limits.sender_age_ms:
            shard.owed.park(pair)
            self._done_with(shard, pair, head)
            head = shard.owed.head(pair)
        if head is None or shard.closed:
            if head is not None:
                self.stuck.pop(head.command_id(shard.kind.name), None)
            self._forget(shard, pair)
            return
        again = attempt > 0 or (shard, pair) in self._old
        envelope = Envelope(
            Mode.MESSAGE,
            head.kind,
            head.receiver,
            head.message,
            command_id=head.command_id(shard.kind.name),
            creates=head.creates and not again,
            again=again,
            at=head.at,
        )
        self._parts.route(envelope, partial(self._answered, shard, pair, head, attempt))

    def _answered(self, shard: Shard, pair: Pair, head: OpenSend, attempt: int, result: Result) -> None:
        if shard.closed or shard.owed.head(pair) is not head:
            self.stuck.pop(head.command_id(shard.kind.name), None)
            self._forget(shard, pair)
        elif result.status in (Status.OK, Status.REPEATED, Status.TOO_OLD):
            if result.status is Status.TOO_OLD:
                shard.owed.park(pair)
            else:
                shard.owed.acknowledged(pair)
            self._done_with(shard, pair, head)
            if shard.owed.head(pair) is None:
                self._forget(shard, pair)
            else:
                # Not from here: a receiver that answers at once would make the stack grow with the queue.
                asyncio.get_running_loop().call_soon(self._send, shard, pair, 0)
        else:
            if result.status is Status.FAILED:
                self.stuck[head.command_id(shard.kind.name)] = attempt + 1
            self._parts.tasks.start(self._later(shard, pair, attempt + 1), "send again")

    def _done_with(self, shard: Shard, pair: Pair, head: OpenSend) -> None:
        if self.stuck:
            self.stuck.pop(head.command_id(shard.kind.name), None)
        old = self._old.get((shard, pair), 0)
        if old > 1:
            self._old[shard, pair] = old - 1
        elif old:
            del self._old[shard, pair]

    def _forget(self, shard: Shard, pair: Pair) -> None:
        self._busy.discard((shard, pair))
        self._old.pop((shard, pair), None)

    async def _later(self, shard: Shard, pair: Pair, attempt: int) -> None:
        limits = self._parts.limits
        delay = min(limits.retry_first * 2 ** min(attempt - 1, 20), limits.retry_most)
        await self._parts.clock.sleep(delay * (0.5 + self._parts.entropy.fraction() / 2))
        self._send(shard, pair, attempt)
