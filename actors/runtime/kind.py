"""What the runtime must know of a kind of entity: its two functions and its stored types."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zlib import crc32

import msgspec

from actors.decision import Context, Decision, Done, Message, Refused


def _no_target(reply: Message) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True)
class Kind:
    """A kind of entity.

    `view` makes of a state what a reader gets, `settled` says whether a watcher need wait longer, `follows` names
    the entity that a reply sends its caller on to. `upcasts` turns types that are no longer written into today's.
    """

    name: str
    state: Any
    commands: Any
    events: Any
    replies: Any
    initial: Callable[[str], Any]
    decide: Callable[[Any, Any, Context], Decision]
    apply: Callable[[Any, Any], Any]
    view: Callable[[Any], Message]
    settled: Callable[[Any], bool]
    effects: Any = None
    follows: Callable[[Message], tuple[str, str] | None] = _no_target
    upcasts: dict[type, Callable[[Any], Any]] = field(default_factory=dict)

    @cached_property
    def _commands(self) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(self.commands)

    @cached_property
    def _events(self) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(self.events)

    @cached_property
    def _replies(self) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(self.replies | Refused | Done)

    @cached_property
    def _effects(self) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(self.effects)

    @cached_property
    def _state(self) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(self.state)

    def _current(self, value: Any) -> Any:
        upcast = self.upcasts.get(type(value)) if self.upcasts else None
        return value if upcast is None else self._current(upcast(value))

    def command(self, data: bytes) -> Any:
        return self._current(self._commands.decode(data))

    def event(self, data: bytes) -> Any:
        return self._current(self._events.decode(data))

    def reply(self, data: bytes) -> Any:
        return self._current(self._replies.decode(data))

    def effect(self, data: bytes) -> Any:
        return self._current(self._effects.decode(data))

    def state_of(self, data: bytes) -> Any:
        return self._current(self._state.decode(data))


def shard_of(entity: str, shards: int) -> int:
    """The shard of an entity: the same in every process and for the life of a database."""
    return crc32(entity.encode()) % shards
