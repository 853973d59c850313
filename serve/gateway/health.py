"""Whether the ports that requests need answer: each is looked at by itself, with a deadline of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import msgspec

OK = "ok"


class Port(NamedTuple):
    """`look` raises when the port is out of order. A checkout can do without one that is not `needed`."""

    look: Callable[[], Awaitable[object]]
    needed: bool = True


class Health(msgspec.Struct, frozen=True):
    """`parts`: each port's state, "ok" or what is the matter. `ready`: whether everything that is needed is ok."""

    ready: bool
    parts: dict[str, str]


async def health_of(ports: Mapping[str, Port], seconds: float) -> Health:
    """Looks at all ports at once and waits for none longer than `seconds`."""
    states = await asyncio.gather(*(_state(port, seconds) for port in ports.values()))
    parts = dict(zip(ports, states, strict=True))
    return Health(all(parts[name] == OK or not port.needed for name, port in ports.items()), parts)


async def _state(port: Port, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await port.look()
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except Exception as error:
        return type(error).__name__  # its text may have addresses and secrets in it
    return OK
