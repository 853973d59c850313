"""What a shard still owes the world: messages not acknowledged, effects not answered, timers not fired.

It belongs to the shard, not to the entity, so an entity may sleep while its messages travel. A checkpoint is this,
encoded; what a checkpoint lacks is in the records after it.
"""

from collections import deque

import msgspec

from actors.runtime.wire import Body, Record, encode

Pair = tuple[str, str, str]


class OpenSend(msgspec.Struct, array_like=True, frozen=True):
    """A message that its receiver has not acknowledged; `at` is when it was decided (UTC, milliseconds)."""

    entity: str
    version: int
    index: int
    at: int
    kind: str
    receiver: str
    message: bytes
    creates: bool = False

    def command_id(self, sender_kind: str) -> str:
        return f"m:{sender_kind}/{self.entity}/{self.version}/{self.index}"

    @property
    def pair(self) -> Pair:
        return self.entity, self.kind, self.receiver


class OpenEffect(msgspec.Struct, array_like=True, frozen=True):
    """A call to the outside that has not answered yet."""

    entity: str
    version: int
    index: int
    at: int
    request: bytes

    @property
    def command_id(self) -> str:
        return f"e:{self.version}/{self.index}"


class OpenTimer(msgspec.Struct, array_like=True, frozen=True):
    """A timer that has not fired; `at` is when it does (UTC, milliseconds)."""

    entity: str
    name: str
    version: int
    at: int
    command: bytes

    @property
    def command_id(self) -> str:
        return f"t:{self.version}/{self.name}"


class Checkpoint(msgspec.Struct, array_like=True, frozen=True):
    """Open work as of the record `seq`; events are relayed up to `relayed`."""

    seq: int
    sends: tuple[OpenSend, ...]
    effects: tuple[OpenEffect, ...]
    timers: tuple[OpenTimer, ...]
    parked: tuple[OpenSend, ...] = ()
    relayed: int = 0


_decoder = msgspec.msgpack.Decoder(Checkpoint)


def unrelayed(checkpoint: bytes) -> bytes:
    """The same, but that no event of the shard is in the event log: whoever takes it over relays all of them."""
    if not checkpoint:
        return checkpoint
    work = OpenWork(checkpoint)
    work.relayed_to(0)
    return work.checkpoint()


class Opened(msgspec.Struct):
    """What one record added."""

    pairs: list[Pair] = []
    effects: list[OpenEffect] = []
    timers: list[OpenTimer] = []


class OpenWork:
    """The open work of one shard."""

    def __init__(self, checkpoint: bytes = b"") -> None:
        self.sends: dict[Pair, deque[OpenSend]] = {}
        self.effects: dict[tuple[str, str], OpenEffect] = {}
        self.timers: dict[tuple[str, str], OpenTimer] = {}
        self.parked: list[OpenSend] = []
        self.seq = 0
        self.relayed = 0
        self.changed = False
        if checkpoint:
            self._restore(_decoder.decode(checkpoint))

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.seq = checkpoint.seq
        for send in checkpoint.sends:
            self.sends.setdefault(send.pair, deque()).append(send)
        self.effects = {(e.entity, e.command_id): e for e in checkpoint.effects}
        self.timers = {(t.entity, t.name): t for t in checkpoint.timers}
        self.parked = list(checkpoint.parked)
        self.relayed = checkpoint.relayed

    def checkpoint(self) -> bytes:
        sends = tuple(send for queue in self.sends.values() for send in queue)
        effects, timers, parked = tuple(self.effects.values()), tuple(self.timers.values()), tuple(self.parked)
        return encode(Checkpoint(self.seq, sends, effects, timers, parked, self.relayed))

    def relayed_to(self, seq: int) -> None:
        """The events of all records up to this one are in the event log."""
        self.relayed = seq
        self.changed = True

    def note(self, record: Record, body: Body) -> Opened:
        """Takes in what a committed record opens and what it closes."""
        self.seq = record.seq
        self.changed = True
        opened = Opened()
        self._close(record)
        entity, version = record.entity, record.version
        for index, sent in enumerate(body.sends):
            send = OpenSend(entity, version, index, body.at, sent.kind, sent.entity, sent.message, sent.creates)
            self.sends.setdefault(send.pair, deque()).append(send)
            opened.pairs.append(send.pair)
        for index, request in enumerate(body.effects):
            effect = OpenEffect(entity, version, index, body.at, request)
            self.effects[entity, effect.command_id] = effect
            opened.effects.append(effect)
        for timer in body.timers:
            if timer.at:
                set_timer = OpenTimer(entity, timer.name, version, timer.at, timer.command)
                self.timers[entity, timer.name] = set_timer
                opened.timers.append(set_timer)
            else:
                self.timers.pop((entity, timer.name), None)
        return opened

    def _close(self, record: Record) -> None:
        if record.command_id.startswith("e:"):
            self.effects.pop((record.entity, record.command_id), None)
        elif record.command_id.startswith("t:"):
            timer = self.timer_of(record.entity, record.command_id)
            if timer is not None:
                del self.timers[record.entity, timer.name]

    def timer_of(self, entity: str, command_id: str) -> OpenTimer | None:
        """The timer that fires with this command, if it is still set."""
        version, _, name = command_id.removeprefix("t:").partition("/")
        timer = self.timers.get((entity, name))
        return timer if timer is not None and timer.version == int(version) else None

    def head(self, pair: Pair) -> OpenSend | None:
        queue = self.sends.get(pair)
        return queue[0] if queue else None

    def acknowledged(self, pair: Pair) -> None:
        """The receiver has made the oldest message of the pair durable."""
        queue = self.sends[pair]
        queue.popleft()
        self.changed = True
        if not queue:
            del self.sends[pair]

    def park(self, pair: Pair) -> None:
        """The oldest message of the pair is too old to be sent; it is kept to be shown."""
        self.parked.append(self.sends[pair][0])
        self.acknowledged(pair)

    @property
    def size(self) -> int:
        return sum(len(queue) for queue in self.sends.values()) + len(self.effects) + len(self.timers)
