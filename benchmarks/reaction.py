"""How long after OrderPlaced the payment is decided on, on real servers: `python -m benchmarks.reaction`.

Both times are those that the events carry: of the decision that placed the order, before its commit, and of the
payment session's first, which the payment service makes when it hears of the order through Kafka. So it is the commit
in MySQL, the relay, Kafka, the consumer and the way to the session's host together.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.on_servers import TroupeOnServers
from benchmarks.results import Cell
from benchmarks.run import NOT_MEASURED, Bench, Step
from benchmarks.samples import percentile
from benchmarks.target import end_when_told
from pipelines.log.cloud_events import TOPICS, from_kafka

SECONDS = 60.0
"""For reading all topics to their ends."""
PLACED, OPENED = "OrderPlaced/1", "SessionOpened/1"

console = Console()


async def times_of(kafka: str, kind: str, event: str) -> dict[str, int]:
    """When each entity had its event, UTC in milliseconds. Raises TimeoutError."""
    consumer = AIOKafkaConsumer(TOPICS[kind], bootstrap_servers=kafka, auto_offset_reset="earliest")
    found: dict[str, int] = {}
    async with asyncio.timeout(SECONDS):
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(part) < end for part, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        if dict(record.headers).get("ce_type") == event.encode():
                            happened = from_kafka(record.offset, record.headers, record.value, record.timestamp)
                            found[happened.entity] = happened.at
        finally:
            await consumer.stop()
    return found


def main(
    clients: Annotated[str, typer.Option(help="Numbers of clients, with commas.")] = "1,4,64",
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each window.")] = 10.0,
) -> None:
    """Drives journeys and prints a table. Exit status 2: a server cannot be run here."""
    end_when_told()
    folder = Path(tempfile.mkdtemp(prefix="benchmarks-"))
    shop = TroupeOnServers(folder / "shop")
    bench = Bench({shop.name: shop}, folder, together=False, seconds=seconds, processes=1)
    machine = describe(folder)
    shown = Table(title=f"OrderPlaced to SessionOpened, milliseconds; {machine.processor}, commit {machine.commit}")
    for head in ("clients", "journeys/s", "orders", "p50", "p90", "p99", "worst"):
        shown.add_column(head, justify="right")
    seen: set[str] = set()
    try:
        for number in map(int, clients.split(",")):
            measured = bench.measure(Step(0, shop.name, Cell("journey", number)), 3.0)
            if measured is None:
                console.print(f"not measured: {bench.missing}")
                raise typer.Exit(NOT_MEASURED)
            kafka = shop.variables()["TROUPE_KAFKA_SERVERS"]
            placed = asyncio.run(times_of(kafka, "order", PLACED))
            opened = asyncio.run(times_of(kafka, "payment", OPENED))
            took = sorted(float(opened[order] - at) for order, at in placed.items() if order in opened.keys() - seen)
            seen |= opened.keys()
            numbers = (*(percentile(took, q) for q in (50, 90, 99)), took[-1])
            shown.add_row(
                str(number), f"{measured.summary.rate:.1f}", f"{len(took):,}", *(f"{one:.0f}" for one in numbers)
            )
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)
    console.print(shown)


if __name__ == "__main__":
    typer.run(main)
