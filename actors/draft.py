"""A decision under construction: each event is applied as it is added, so that the next step sees its result."""

from collections.abc import Callable
from typing import Generic, TypeVar

from actors.decision import ClearTimer, Decision, Done, Effect, Message, Send, SetTimer

State = TypeVar("State")
Event = TypeVar("Event", bound=Message)


class Draft(Generic[State, Event]):
    """What has been decided so far, and the state that comes of it."""

    def __init__(self, state: State, apply: Callable[[State, Event], State]) -> None:
        self.state = state
        self._apply = apply
        self._events: list[Message] = []
        self._sends: list[Send] = []
        self._timers: list[SetTimer | ClearTimer] = []
        self._effects: list[Effect] = []

    def add(self, event: Event) -> None:
        self.state = self._apply(self.state, event)
        self._events.append(event)

    def send(self, kind: str, entity: str, message: Message, *, creates: bool = False) -> None:
        self._sends.append(Send(kind, entity, message, creates))

    def set_timer(self, name: str, at: int, command: Message) -> None:
        """`at`: UTC, milliseconds."""
        self._timers.append(SetTimer(name, at, command))

    def clear_timer(self, name: str) -> None:
        self._timers.append(ClearTimer(name))

    def start(self, request: Message) -> None:
        self._effects.append(Effect(request))

    def decision(self, reply: Message | None = None) -> Decision:
        """Everything so far; the answer is `reply`, or Done."""
        return Decision(
            reply=Done() if reply is None else reply,
            events=tuple(self._events),
            sends=tuple(self._sends),
            timers=tuple(self._timers),
            effects=tuple(self._effects),
        )
