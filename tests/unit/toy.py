"""A toy kind: accounts that take money, send it on, set timers, call a bank, raise, and answer at length."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from actors.decision import ClearTimer, Context, Decision, Effect, Message, Send, SetTimer, refuse
from actors.runtime.kind import Kind, shard_of


class Deposit(Message, frozen=True, tag="Deposit/1"):
    amount: int
    note: str = ""


class Withdraw(Message, frozen=True, tag="Withdraw/1"):
    amount: int


class Transfer(Message, frozen=True, tag="Transfer/1"):
    """Sends `parts` deposits of `amount` each, with the notes 0, 1, 2 …"""

    to: str
    amount: int
    parts: int = 1
    creates: bool = False


class Ping(Message, frozen=True, tag="Ping/1"):
    """Changes nothing; sent on by `Relay`."""


class Relay(Message, frozen=True, tag="Relay/1"):
    to: str


class Remind(Message, frozen=True, tag="Remind/1"):
    name: str
    at: int
    note: str


class Forget(Message, frozen=True, tag="Forget/1"):
    name: str


class Note(Message, frozen=True, tag="Note/1"):
    text: str


class Charge(Message, frozen=True, tag="Charge/1"):
    reference: str


class Look(Message, frozen=True, tag="Look/1"):
    """Answered with the balance ahead, and nothing kept of it."""


class Swell(Message, frozen=True, tag="Swell/1"):
    size: int


class Pay(Message, frozen=True, tag="Pay/1"):
    """The effect request."""

    reference: str


class Noted(Message, frozen=True, tag="Noted/1"):
    text: str
    at: int


class Moved(Message, frozen=True, tag="Moved/1"):
    amount: int


class Balance(Message, frozen=True, tag="Balance/1"):
    amount: int


class Sent(Message, frozen=True, tag="Sent/1"):
    to: str


class Blob(Message, frozen=True, tag="Blob/1"):
    text: str


class Statement(Message, frozen=True, tag="Statement/1"):
    balance: int
    notes: tuple[str, ...] = ()
    times: tuple[int, ...] = ()


class State(msgspec.Struct, frozen=True):
    balance: int = 0
    notes: tuple[str, ...] = ()
    times: tuple[int, ...] = ()


Command = Deposit | Withdraw | Transfer | Ping | Relay | Remind | Forget | Note | Charge | Look | Swell
SETTLED = 100


def apply(state: State, event: Any) -> State:
    if isinstance(event, Moved):
        return msgspec.structs.replace(state, balance=state.balance + event.amount)
    return msgspec.structs.replace(state, notes=(*state.notes, event.text), times=(*state.times, event.at))


def _decide(state: State, command: Any, context: Context) -> Decision:
    match command:
        case Deposit(amount, note):
            events: tuple[Message, ...] = (Moved(amount),)
            if note:
                events = (*events, Noted(note, context.now))
            return Decision(Balance(state.balance + amount), events)
        case Withdraw(amount):
            if amount > state.balance:
                return refuse("too_little", "There is not enough.", left=state.balance)
            return Decision(Balance(state.balance - amount), (Moved(-amount),))
        case Transfer(to, amount, parts, creates):
            sends = tuple(Send("account", to, Deposit(amount, str(n)), creates and n == 0) for n in range(parts))
            return Decision(Sent(to), (Moved(-amount * parts),), sends)
        case Relay(to):
            return Decision(Sent(to), (), (Send("account", to, Ping()),))
        case Ping():
            return Decision(Balance(state.balance))
        case Remind(name, at, note):
            return Decision(timers=(SetTimer(name, at, Note(note)),))
        case Forget(name):
            return Decision(timers=(ClearTimer(name),))
        case Note(text):
            return Decision(Balance(state.balance), (Noted(text, context.now),))
        case Charge(reference):
            return Decision(effects=(Effect(Pay(reference)),))
        case Look():
            return Decision(Balance(state.balance), transient=True)
        case Swell(size):
            return Decision(Blob("x" * size), (Moved(1),))
    raise AssertionError(command)


def _follows(reply: Message) -> tuple[str, str] | None:
    return ("account", reply.to) if isinstance(reply, Sent) else None


@dataclass
class Toy:
    """`decided`: each decision that was begun. Decisions of the entities in `broken` raise."""

    decided: list[tuple[str, Any]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def decide(self, state: State, command: Any, context: Context) -> Decision:
        self.decided.append((context.entity_id, command))
        if context.entity_id in self.broken:
            raise RuntimeError("broken on purpose")
        return _decide(state, command, context)

    def decisions(self, entity: str) -> list[Any]:
        return [command for name, command in self.decided if name == entity]

    def kinds(self) -> dict[str, Kind]:
        account = Kind(
            name="account",
            state=State,
            commands=Command,
            events=Noted | Moved,
            replies=Balance | Sent | Blob | Statement,
            initial=lambda entity: State(),
            decide=self.decide,
            apply=apply,
            view=lambda state: Statement(state.balance, state.notes, state.times),
            settled=lambda state: state.balance >= SETTLED,
            effects=Pay,
            follows=_follows,
        )
        return {"account": account}


def names(shard: int, count: int, shards: int) -> list[str]:
    """The first ids that fall into a shard."""
    found: list[str] = []
    n = 0
    while len(found) < count:
        if shard_of(f"a{n}", shards) == shard:
            found.append(f"a{n}")
        n += 1
    return found
