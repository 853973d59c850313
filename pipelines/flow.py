"""What a flow is: which events it reads, and what it does for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from actors.decision import Message, Refused
from actors.runtime.ports import Answer
from pipelines.log.base import Happened


@dataclass(frozen=True)
class Limits:
    """`in_flight`: handlers at once. `outstanding`: events read and not done with. `tries`: before a dead letter.

    `handler_seconds`: the deadline of one try.
    """

    in_flight: int = 64
    outstanding: int = 2048
    batch: int = 500
    tries: int = 8
    handler_seconds: float = 30.0


@dataclass(frozen=True)
class Flow:
    """`reads`: the event types wanted of each kind; others are passed over. `handle` must be idempotent by event id.

    Not `ordered`: each event goes by itself, and a dead letter holds up nothing.
    """

    name: str
    reads: Mapping[str, tuple[type[Message], ...]]
    handle: Callable[[Happened, Any], Awaitable[None]]
    ordered: bool = True
    limits: Limits = Limits()


def command_id(flow: str, happened: Happened, index: int = 0) -> str:
    """The id of a command that follows from an event: a repetition makes the same one."""
    return blake2b(f"{flow}\0{happened.id}\0{index}".encode(), digest_size=16).hexdigest()


class GivenUp(Exception):
    """Another try changes nothing until somebody has looked at it: a dead letter at once."""


class NotAccepted(Exception):
    """An entity refused what a flow told it: a defect, since flows only tell what happened."""


def accepted(answer: Answer) -> None:
    """Raises NotAccepted if the entity refused."""
    if isinstance(answer.reply, Refused):
        raise NotAccepted(f"{answer.reply.code}: {answer.reply.detail}")
