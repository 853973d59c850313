"""What the author of a rule writes with: decisions, and what a decision may ask for.

A kind of entity is two pure functions: ``decide(state, command, context)`` answers with a `Decision`, and
``apply(state, event)`` returns the next state. Neither reads a clock, draws a number or waits.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command, event, reply or effect request: stored, so each subclass names a tag with a version, ``Name/1``."""


class Refused(Message, tag="Refused/1", frozen=True):
    """The answer to a command that the rules do not allow. `code` is stable, `detail` is for people."""

    code: str
    detail: str
    about: dict[str, Any] = {}


class Done(Message, tag="Done/1", frozen=True):
    """The answer to a command that has nothing to tell but that it was carried out."""


_DONE = Done()


class Send(msgspec.Struct, frozen=True):
    """A command for another entity, delivered effectively once, in order between the two.

    `creates`: the receiver's id was made with this decision, so it has no past to look up.
    """

    kind: str
    id: str
    message: Message
    creates: bool = False


class SetTimer(msgspec.Struct, frozen=True):
    """At `at` (UTC, milliseconds) the entity gets `command`. A timer of the same name is replaced."""

    name: str
    at: int
    command: Message


class ClearTimer(msgspec.Struct, frozen=True):
    """The timer of this name, if there is one, no longer fires."""

    name: str


class Effect(msgspec.Struct, frozen=True):
    """A call to the world outside, started once the decision is durable; repeated until it answers.

    Its answer reaches the entity as a command. `request` must carry what makes a repetition harmless.
    """

    request: Message


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision may know besides the state: the time (UTC, milliseconds) and whom it is about."""

    now: int
    entity_id: str
    command_id: str

    def new_id(self, index: int = 0) -> str:
        """An id that a repetition of the same command makes again: 16 hex digits, not a secret."""
        return blake2b(f"{self.entity_id}\0{self.command_id}\0{index}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Decision:
    """All that follows from one command; it is recorded whole before anyone learns of it.

    `transient`: an answer that a repetition of the command need not get again (it is not recorded).
    """

    reply: Message = _DONE
    events: tuple[Message, ...] = ()
    sends: tuple[Send, ...] = ()
    timers: tuple[SetTimer | ClearTimer, ...] = ()
    effects: tuple[Effect, ...] = ()
    transient: bool = False


def refuse(code: str, detail: str, **about: Any) -> Decision:
    """A decision that changes nothing and says why."""
    return Decision(reply=Refused(code, detail, about))
