"""Durable sends: each message goes again until its receiver has made it durable, in order within a pair.

Only the oldest message of a pair is ever under way, so nothing can overtake it, in this incarnation or the next.
"""

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
        self.stuck: dict[str, int] = {}

    def offer(self, shard: Shard, pair: Pair, again: bool = False) -> None:
        """Something may be there to send; `again`: it may have been sent before."""
        key = (shard, pair)
        if key not in self._busy and shard.owed.head(pair) is not None:
            self._busy.add(key)
            self._send(shard, pair, 1 if again else 0)

    def _send(self, shard: Shard, pair: Pair, attempt: int) -> None:
        head = shard.owed.head(pair)
        if head is None or shard.closed:
            self._busy.discard((shard, pair))
            return
        if self._parts.time.now() - head.at > self._parts.limits.sender_age_ms:
            shard.owed.park(pair)
            self._send(shard, pair, 1)
            return
        envelope = Envelope(
            Mode.MESSAGE,
            head.kind,
            head.receiver,
            head.message,
            command_id=head.command_id(shard.kind.name),
            creates=head.creates and not attempt,
            again=attempt > 0,
            at=head.at,
        )
        self._parts.route(envelope, lambda result: self._answered(shard, pair, head, attempt, result))

    def _answered(self, shard: Shard, pair: Pair, head: OpenSend, attempt: int, result: Result) -> None:
        if shard.closed or shard.owed.head(pair) is not head:
            self._busy.discard((shard, pair))
            return
        if result.status in (Status.OK, Status.REPEATED):
            self.stuck.pop(head.command_id(shard.kind.name), None)
            shard.owed.acknowledged(pair)
            self._send(shard, pair, 0)
        elif result.status is Status.TOO_OLD:
            shard.owed.park(pair)
            self._send(shard, pair, 0)
        else:
            if result.status is Status.FAILED:
                self.stuck[head.command_id(shard.kind.name)] = attempt + 1
            self._parts.tasks.start(self._later(shard, pair, attempt + 1), "send again")

    async def _later(self, shard: Shard, pair: Pair, attempt: int) -> None:
        limits = self._parts.limits
        delay = min(limits.retry_first * 2 ** min(attempt - 1, 20), limits.retry_most)
        await self._parts.clock.sleep(delay * (0.5 + self._parts.entropy.fraction() / 2))
        self._send(shard, pair, attempt)
