"""A closed-loop load generator: each client sends its next request when the last is answered.

Runs in a process of its own (`python -m benchmarks.load`), so that its work is not the server's, and speaks to whoever
started it in lines of JSON: `{"window": "open"}`, `{"window": "closed"}`, then the run.
"""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from benchmarks.samples import Recorder, Run
from benchmarks.wire import Client, ConnectionBroken, Response

ADDS_PER_GUEST = 10
LINES_OF_A_LONG_ORDER = 500
ORDER_SECONDS = 30.0
STEPS = {"cart": "add", "journey": "journey", "hot": "journey", "order500": "checkout"}
"""What each scenario counts."""
_RUNNING = frozenset({"placed", "reserved"})
_ORDER = {
    "email": "shopper@example.com",
    "address": {
        "name": "A Shopper",
        "line1": "1 High Street",
        "city": "Bath",
        "postal_code": "BA1 1AA",
        "country": "GB",
    },
    "shipping_method": "standard",
    "payment": {"method": "card", "reference": "pm_card_visa"},
}
ORDER = msgspec.json.encode(_ORDER)


class Failed(Exception):
    """A step ended badly; the argument is the kind under which it is counted."""

    def __init__(self, kind: str, pause: float = 0.0) -> None:
        super().__init__(kind)
        self.kind, self.pause = kind, pause


class _Cart(msgspec.Struct):
    guest_token: str | None = None


class _Order(msgspec.Struct):
    id: str
    status: str
    payment_status: str = ""


class _Problem(msgspec.Struct):
    code: str = ""


_CART, _AN_ORDER = msgspec.json.Decoder(_Cart), msgspec.json.Decoder(_Order)
_PROBLEM = msgspec.json.Decoder(_Problem)


class Shopper:
    """One client: a connection, and the guest that it is just now."""

    def __init__(self, url: str, name: str, skus: list[str], recorder: Recorder, seed: int) -> None:
        self._client = Client(url)
        self._keys = (f"{name}-{n}".encode() for n in itertools.count())
        self._skus = skus
        self._recorder = recorder
        self._random = random.Random(seed)
        self._token: bytes | None = None

    async def cart(self) -> None:
        """Ten adds of a fresh guest."""
        self._token = None
        for sku in self._random.choices(self._skus, k=ADDS_PER_GUEST):
            await self._add(sku)

    async def journey(self) -> None:
        """Two adds of a fresh guest, then a checkout to confirmed."""
        await self._journey(self._random.sample(self._skus, 2))

    async def hot(self) -> None:
        """A journey for the one product that everybody wants."""
        await self._journey([self._skus[0]] * 2)

    async def order500(self) -> None:
        """Fills a cart with 500 lines, untimed, and checks it out."""
        self._token = None
        for sku in self._skus[:LINES_OF_A_LONG_ORDER]:
            await self._add(sku)
        await self._check_out()

    def close(self) -> None:
        """Hangs up."""
        self._client.close()

    async def _journey(self, skus: list[str]) -> None:
        began = time.perf_counter()
        self._token = None
        for sku in skus:
            await self._add(sku)
        await self._check_out()
        self._recorder.done("journey", began)

    async def _add(self, sku: str) -> None:
        began = time.perf_counter()
        answer = await self._send(b"POST", b"/api/cart/items", b'{"sku":"%b","quantity":1}' % sku.encode())
        if self._token is None:
            token = answer.headers.get(b"x-guest-token")
            given = _CART.decode(answer.body).guest_token if token is None else token.decode()
            if given is None:
                raise Failed("no guest token")
            self._token = given.encode()
        self._recorder.done("add", began)

    async def _check_out(self) -> None:
        began = time.perf_counter()
        answer = await self._send(b"POST", b"/api/orders", ORDER)
        order = _AN_ORDER.decode(answer.body)
        path = answer.headers.get(b"location", f"/api/orders/{order.id}".encode())
        pause = 0.005
        while order.status in _RUNNING:
            if time.perf_counter() - began > ORDER_SECONDS:
                raise Failed("order not ended")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.25)
            order = _AN_ORDER.decode((await self._send(b"GET", path)).body)
        if order.status != "confirmed":
            raise Failed(f"order {order.status}")
        self._recorder.done("checkout", began)

    async def _send(self, method: bytes, path: bytes, body: bytes | None = None) -> Response:
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if body is not None:
            headers = ((b"Idempotency-Key", next(self._keys)),)
        if self._token is not None:
            headers += ((b"Authorization", b"Bearer " + self._token),)
        try:
            answer = await self._client.request(method, path, body, headers)
        except ConnectionBroken as error:
            raise Failed("connection broken", 0.1) from error
        except TimeoutError as error:
            raise Failed("timeout") from error
        if answer.status not in (200, 201, 202):
            raise Failed(_kind(answer), _pause(answer))
        return answer


def _kind(answer: Response) -> str:
    try:
        code = _PROBLEM.decode(answer.body).code
    except msgspec.DecodeError:
        code = ""
    return f"{answer.status} {code}".strip()


def _pause(answer: Response) -> float:
    # A client that is told to come back later does; at most a second, so that it stays a load.
    try:
        return min(float(answer.headers.get(b"retry-after", b"0")), 1.0)
    except ValueError:
        return 0.0


async def _keep_on(turn: Callable[[], Awaitable[None]], recorder: Recorder, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await turn()
        except Failed as failure:
            recorder.failed(failure.kind)
            await asyncio.sleep(failure.pause)
        except msgspec.MsgspecError:
            recorder.failed("answer not understood")


async def drive(
    url: str,
    scenario: str,
    skus: list[str],
    clients: int,
    seconds: float,
    *,
    warm_up: float = 0.0,
    name: str = "load",
    told: Callable[[str], None] = lambda _: None,
) -> Run:
    """Runs a scenario with `clients` at once; `told` hears "open" and "closed" at the ends of the window.

    An order of 500 lines outlasts a short window, so there the window closes when the last client has ended its turn.
    """
    recorder, stop = Recorder(), asyncio.Event()
    shoppers = [Shopper(url, f"{name}-{n}", skus, recorder, n) for n in range(clients)]
    tasks = [asyncio.create_task(_keep_on(getattr(shopper, scenario), recorder, stop)) for shopper in shoppers]
    try:
        await _pass(warm_up if scenario != "order500" else 0.0, tasks)
        recorder.open()
        told("open")
        await _pass(seconds, tasks)
        stop.set()
        if scenario == "order500":
            await asyncio.wait(tasks)
        recorder.close()
        told("closed")
        await asyncio.wait(tasks, timeout=ORDER_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for shopper in shoppers:
            shopper.close()
    _raise_first(ended)
    return recorder.run()


async def _pass(seconds: float, tasks: list[asyncio.Task[None]]) -> None:
    """Lets time pass; a client that fails in a way that is not counted ends the run at once."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    _raise_first([task.exception() for task in done])


def _raise_first(ends: Sequence[BaseException | None]) -> None:
    for end in ends:
        if isinstance(end, Exception):
            raise end


def main(
    url: Annotated[str, typer.Option(help="The shop, as http://host:port.")],
    skus: Annotated[Path, typer.Option(help="A JSON list of the SKUs on sale.")],
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(STEPS)}.")] = "journey",
    clients: Annotated[int, typer.Option(min=1)] = 16,
    seconds: Annotated[float, typer.Option(min=0.1)] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="Seconds before the window opens.")] = 2.0,
    name: Annotated[str, typer.Option(help="Begins every idempotency key: unique for each run.")] = "",
) -> None:
    """Drives a shop and writes what was seen as lines of JSON to standard output."""
    if scenario not in STEPS:
        raise typer.BadParameter(f"{scenario}: one of {', '.join(STEPS)}", param_hint="--scenario")

    def say(line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def told(end: str) -> None:
        say(msgspec.json.encode({"window": end}))

    on_sale = msgspec.json.decode(skus.read_bytes(), type=list[str])
    name = name or f"load-{time.time_ns()}"
    work = drive(url, scenario, on_sale, clients, seconds, warm_up=warm_up, name=name, told=told)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say(msgspec.json.encode(runner.run(work)))


if __name__ == "__main__":
    typer.run(main)
