"""The way between a caller and a host in another process, over real sockets; only Ray's part of it is played."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from actors.runtime.on_ray import link as link_module
from actors.runtime.on_ray import reception as reception_module
from actors.runtime.on_ray.frames import Batch, decode_replies
from actors.runtime.on_ray.link import RayLink
from actors.runtime.on_ray.reception import Endpoint, Reception
from actors.runtime.ports import Done
from actors.runtime.tasks import Tasks
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

TOKEN = b"0123456789abcdef"
OK = Result(Status.OK)


class FarHost:
    """A host that answers when it is told to; `endpoint` is what Ray would say of it."""

    def __init__(self) -> None:
        self.accepted: list[tuple[Envelope, Done]] = []
        self.reception = Reception(lambda envelope, done: self.accepted.append((envelope, done)), TOKEN)
        self.asked = 0

    async def open(self) -> "FarHost":
        self._endpoint = await self.reception.open("127.0.0.1")
        return self

    async def endpoint(self) -> Endpoint:
        self.asked += 1
        return self._endpoint

    @property
    def ids(self) -> list[str]:
        return [envelope.command_id for envelope, _ in self.accepted]


class Caller:
    """What a caller was told, by command id."""

    def __init__(self, link: RayLink) -> None:
        self.link = link
        self.told: dict[str, Status] = {}

    def post(self, command_id: str, mode: Mode = Mode.ASK) -> None:
        envelope = Envelope(mode, "account", "a", command_id=command_id)
        self.link.post(envelope, lambda result: self.told.update({command_id: result.status}))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.close()


@pytest.fixture
async def far() -> AsyncIterator[FarHost]:
    host = await FarHost().open()
    yield host
    await host.reception.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PAUSE", 0.001)
    monkeypatch.setattr(link_module, "ASK_EVERY", 0.01)
    monkeypatch.setattr(link_module, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(reception_module, "GREETING_SECONDS", 0.05)


async def test_a_reply_does_not_wait_for_that_of_a_command_it_travelled_with(tasks: Tasks, far: FarHost) -> None:
    caller = Caller(RayLink(tasks, far.endpoint))
    for command_id in ("slow", "fast", "later"):
        caller.post(command_id)
    await until(lambda: far.ids == ["slow", "fast", "later"])
    far.accepted[1][1](OK)
    await until(lambda: caller.told == {"fast": Status.OK})
    far.accepted[2][1](Result(Status.MOVED))
    far.accepted[0][1](OK)
    await until(lambda: caller.told == {"fast": Status.OK, "later": Status.MOVED, "slow": Status.OK})


async def test_many_more_than_fit_into_one_batch_arrive_in_order(tasks: Tasks, far: FarHost) -> None:
    caller = Caller(RayLink(tasks, far.endpoint))
    sent = [str(n) for n in range(3 * link_module.BATCH + 1)]
    for command_id in sent:
        caller.post(command_id)
    await until(lambda: len(far.accepted) == len(sent))
    assert far.ids == sent
    for _, done in far.accepted:
        done(OK)
    await until(lambda: list(caller.told) == sent)


@pytest.mark.usefixtures("hasty")
async def test_an_idle_connection_stays(tasks: Tasks, far: FarHost) -> None:
    caller = Caller(RayLink(tasks, far.endpoint))
    await asyncio.sleep(5 * link_module.SILENCE_SECONDS)
    caller.post("1")
    await until(lambda: far.ids == ["1"])
    assert far.asked == 1


async def test_those_who_wait_are_told_when_the_host_ends_and_its_successor_is_found(
    tasks: Tasks, far: FarHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PAUSE", 0.001)
    running = [far]
    caller = Caller(RayLink(tasks, lambda: running[-1].endpoint()))
    caller.post("1")
    await until(lambda: far.ids == ["1"])
    running.append(await FarHost().open())
    await far.reception.close()
    await until(lambda: caller.told == {"1": Status.UNAVAILABLE})
    await until(lambda: running[-1].asked > 0)
    caller.post("2")
    await until(lambda: running[-1].ids == ["2"])
    running[-1].accepted[0][1](OK)
    await until(lambda: caller.told.get("2") is Status.OK)
    # What the first one says now is about nobody's command.
    far.accepted[0][1](OK)
    assert caller.told["1"] is Status.UNAVAILABLE
    await running[-1].reception.close()


async def test_a_link_to_a_host_that_is_no_more_ends(tasks: Tasks) -> None:
    async def find() -> Endpoint:
        raise LookupError("host-9")

    caller = Caller(RayLink(tasks, find))
    caller.post("1")
    await until(lambda: caller.link.gone and not len(tasks))
    caller.post("2")
    assert caller.told == {"1": Status.UNAVAILABLE, "2": Status.UNAVAILABLE}


@pytest.mark.usefixtures("hasty")
async def test_a_host_that_cannot_be_reached_yet_is_looked_for_again(tasks: Tasks, far: FarHost) -> None:
    async def find() -> Endpoint:
        if (await far.endpoint()) and far.asked < 3:
            raise ConnectionError("it is being started again")
        return await far.endpoint()

    caller = Caller(RayLink(tasks, find))
    caller.post("1")
    await until(lambda: caller.told == {"1": Status.UNAVAILABLE})
    await until(lambda: far.asked >= 3)
    caller.post("2")
    await until(lambda: far.ids == ["2"])


@pytest.mark.usefixtures("hasty")
async def test_a_host_that_is_cut_off_in_silence_is_given_up(tasks: Tasks) -> None:
    connections = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], TOKEN)

        async def find() -> Endpoint:
            return endpoint

        caller = Caller(RayLink(tasks, find))
        caller.post("1")
        await until(lambda: caller.told == {"1": Status.UNAVAILABLE})
        await until(lambda: len(connections) >= 2)
        await tasks.close()


async def test_too_many_unanswered_commands_are_refused_but_no_message(
    tasks: Tasks, far: FarHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "UNANSWERED", 2)
    caller = Caller(RayLink(tasks, far.endpoint))
    for command_id in ("1", "2", "3"):
        caller.post(command_id)
    caller.post("4", Mode.MESSAGE)
    assert caller.told == {"3": Status.OVERLOADED}
    await until(lambda: far.ids == ["1", "2", "4"])


async def _says(far: FarHost, first: bytes) -> bytes:
    """What a stranger gets to hear who begins with these bytes; the connection has ended by then."""
    address, port, _ = await far.endpoint()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(first)
    async with asyncio.timeout(5):
        try:
            heard = await reader.read()
        except ConnectionResetError:
            heard = b""
    writer.close()
    return heard


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


BATCH = encode(Batch([(1, Envelope(Mode.ASK, "account", "a", command_id="x"))]))


@pytest.mark.parametrize(
    "first",
    [
        framed(b"0123456789abcdeX") + framed(BATCH),
        framed(BATCH),
        b"\xff\xff\xff\xff",
        framed(TOKEN) + framed(b"\xc1"),
        framed(TOKEN) + framed(encode({"not": "a batch"})),
        b"",
    ],
    ids=["wrong token", "no token", "too long", "no MessagePack", "no batch", "silence"],
)
@pytest.mark.usefixtures("hasty")
async def test_a_stranger_is_sent_away(far: FarHost, first: bytes) -> None:
    assert await _says(far, first) == b""
    assert far.accepted == []


async def test_a_caller_that_takes_no_replies_loses_its_connection(
    far: FarHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception_module, "LARGEST_BACKLOG", 1_000_000)
    address, port, _ = await far.endpoint()
    _, writer = await asyncio.open_connection(address, port, limit=1000)
    writer.write(framed(TOKEN) + framed(BATCH))
    await until(lambda: far.ids == ["x"])
    async with asyncio.timeout(20):
        while far.reception._visitors:
            far.accepted[0][1](Result(Status.OK, b"x" * 1_000_000))
            await asyncio.sleep(0)
    writer.close()


async def test_a_caller_that_went_without_a_word_is_forgotten_and_one_that_asks_is_not(
    tasks: Tasks, far: FarHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "ASK_EVERY", 0.02)
    monkeypatch.setattr(reception_module, "SILENT_SECONDS", 0.5)
    caller = Caller(RayLink(tasks, far.endpoint))
    address, port, _ = await far.endpoint()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(framed(TOKEN))
    await until(lambda: len(far.reception._visitors) == 2)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    caller.post("1")
    await until(lambda: far.ids == ["1"])
    assert far.asked == 2


async def test_a_question_whether_anybody_is_there_is_answered(far: FarHost) -> None:
    address, port, _ = await far.endpoint()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(framed(TOKEN) + framed(encode(Batch([]))))
    async with asyncio.timeout(5):
        size = int.from_bytes(await reader.readexactly(4))
        assert decode_replies(await reader.readexactly(size)).results == []
    writer.close()
