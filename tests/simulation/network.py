"""The ways between processes: envelopes and results are copied, delayed, reordered, duplicated and lost."""

from collections.abc import Callable
from random import Random
from typing import Protocol

import msgspec

from actors.runtime.ports import Done
from actors.runtime.wire import Envelope, Mode, Result, Status, encode
from tests.simulation.loop import Process, VirtualLoop

_envelope = msgspec.msgpack.Decoder(Envelope)
_result = msgspec.msgpack.Decoder(Result)

DEADLINE = 8.0
"""Seconds after which a link says that the way is broken, if nothing came back."""


class Weather:
    """How the network behaves at the moment. Times in seconds, the rest chances. `cut`: pairs that hear nothing."""

    def __init__(self) -> None:
        self.quick = (0.0002, 0.002)
        self.slow = 0.0
        self.slowest = 4.0
        self.lost = 0.0
        self.twice = 0.0
        self.cut: dict[tuple[str, str], None] = {}

    def is_cut(self, one: str, other: str) -> bool:
        return (one, other) in self.cut or (other, one) in self.cut


class Server(Protocol):
    """The far end of a link."""

    process: Process

    def accept(self, envelope: Envelope, done: Done) -> None: ...


class Network:
    """`complain` hears of a host that answered one envelope twice."""

    def __init__(self, loop: VirtualLoop, weather: Weather, chance: Random, complain: Callable[[str], None]) -> None:
        self.loop = loop
        self.weather = weather
        self.chance = chance
        self.complain = complain
        self.calls: dict[int, _Call] = {}
        self._number = 0

    def link(self, sender: Process, server: Server) -> "SimulatedLink":
        return SimulatedLink(self, sender, server)

    def start(self, call: "_Call") -> None:
        self._number += 1
        call.number = self._number
        self.calls[self._number] = call

    def delay(self) -> float:
        weather, chance = self.weather, self.chance
        if weather.slow and chance.random() < weather.slow:
            return chance.uniform(0, weather.slowest)
        return chance.uniform(*weather.quick)

    def loses(self, one: Process, other: Process) -> bool:
        weather = self.weather
        return weather.is_cut(one.name, other.name) or (weather.lost > 0 and self.chance.random() < weather.lost)

    def hang_up(self, dead: Process) -> None:
        """The connections of a process that died break; mostly the other ends learn of it at once."""
        for call in [call for call in self.calls.values() if call.server.process is dead]:
            if self.chance.random() < 0.8:
                self.loop.call_later(self.delay(), call.finish, UNREACHABLE, context=call.sender.context.copy())


UNREACHABLE = Result(Status.UNAVAILABLE, retry_after=1.0)


class _Call:
    """One envelope on its way: its sender hears one result, whatever comes back how often."""

    def __init__(self, network: Network, sender: Process, server: Server, envelope: Envelope, done: Done) -> None:
        self.number = 0
        self.network = network
        self.sender = sender
        self.server = server
        self.data = encode(envelope)
        self.done: Done | None = done
        network.start(self)
        patience = DEADLINE + (envelope.seconds if envelope.mode is not Mode.MESSAGE else 0.0)
        self._timer = network.loop.call_later(patience, self.finish, UNREACHABLE, context=sender.context.copy())
        self.send()
        if network.weather.twice and network.chance.random() < network.weather.twice:
            self.send(network.chance.choice((0.0, 0.1, 3.0, 20.0)))

    def send(self, later: float = 0.0) -> None:
        network = self.network
        if not network.loses(self.sender, self.server.process):
            network.loop.call_later(later + network.delay(), self._arrive, context=self.server.process.context.copy())

    def _arrive(self) -> None:
        answered = False

        def reply(result: Result) -> None:
            nonlocal answered
            if answered:
                self.network.complain(f"{self.server.process.name} answered one envelope twice")
            answered = True
            self._send_back(encode(result))

        self.server.accept(_envelope.decode(self.data), reply)

    def _send_back(self, data: bytes) -> None:
        network = self.network
        if not network.loses(self.server.process, self.sender):
            network.loop.call_later(
                network.delay(), self.finish, _result.decode(data), context=self.sender.context.copy()
            )

    def finish(self, result: Result) -> None:
        if self.done is None:
            return
        done, self.done = self.done, None
        self._timer.cancel()
        self.network.calls.pop(self.number, None)
        done(result)


class SimulatedLink:
    """Implements Link."""

    def __init__(self, network: Network, sender: Process, server: Server) -> None:
        self._network = network
        self._sender = sender
        self._server = server

    def post(self, envelope: Envelope, done: Done) -> None:
        _Call(self._network, self._sender, self._server, envelope, done)
