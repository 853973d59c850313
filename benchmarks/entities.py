"""What a large past costs: CPU per command, memory per resident cart, and the start of a host over a full journal.

`python -m benchmarks.entities --entities 1000000`: fills a journal with carts through the runtime itself, in this
process and on SQLite with full sync, and measures after the first thousand and at the end.
"""

import asyncio
import gc
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from actors.cart import AddLine
from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.pricing import Price
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.in_process import InProcess
from actors.runtime.limits import Limits
from actors.runtime.memory import calm_garbage_collection

FIRST = 1_000
AT_ONCE = 1_000
LINES = 3
SAMPLE = 20_000

console = Console()


@dataclass
class Measured:
    """CPU in microseconds per command, time in seconds, memory in bytes."""

    cpu_first: float = 0.0
    cpu_last: float = 0.0
    resident: float = 0.0
    restart_after_crash: float = 0.0
    restart_in_order: float = 0.0
    journal_mb: float = 0.0


def price(number: int) -> Price:
    return Price(f"SKU-{number}", f"Thing number {number}", 1_000 + number, "standard", "active", 1)


async def fill(cluster: InProcess, first: int, last: int, lines: int = 1) -> float:
    """Adds lines to new carts; answers CPU microseconds per command."""
    began = time.process_time()

    async def cart(number: int) -> None:
        for line in range(lines):
            command = AddLine(f"SKU-{line}", 1, price(line))
            await cluster.region.ask("cart", f"g-{number:032x}", command, creates=line == 0, seconds=60.0)

    for start in range(first, last, AT_ONCE):
        await asyncio.gather(*(cart(number) for number in range(start, min(start + AT_ONCE, last))))
    return (time.process_time() - began) / ((last - first) * lines) * 1e6


async def measure(folder: Path, entities: int) -> Measured:
    measured = Measured()
    journal = SqlJournal(str(folder / "journal.db"))
    await journal.setup()
    cluster = InProcess(KINDS, journal, SystemClock(), SystemEntropy(), Limits(idle=1e9), {})
    host = await cluster.start("host-0")
    await fill(cluster, 0, FIRST)
    calm_garbage_collection()
    measured.cpu_first = await fill(cluster, FIRST, FIRST + SAMPLE)
    step = max(AT_ONCE, (entities - FIRST - 2 * SAMPLE) // 100)
    for start in track(range(FIRST + SAMPLE, entities - SAMPLE, step), f"{entities:,} carts", console=console):
        await fill(cluster, start, min(start + step, entities - SAMPLE))
    measured.cpu_last = await fill(cluster, entities - SAMPLE, entities)
    measured.resident = await resident(cluster, entities)
    measured.restart_after_crash = await restart(cluster, crash=True)
    measured.restart_in_order = await restart(cluster, crash=False)
    measured.journal_mb = (folder / "journal.db").stat().st_size / 2**20
    await cluster.stop()
    await journal.close()
    assert host.committer.records >= entities
    return measured


async def resident(cluster: InProcess, entities: int) -> float:
    """Bytes that each of another 20,000 carts of three lines keeps in memory."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    await fill(cluster, entities, entities + SAMPLE, LINES)
    gc.collect()
    return (psutil.Process().memory_info().rss - before) / SAMPLE


async def restart(cluster: InProcess, *, crash: bool) -> float:
    """Until every shard is taken over and the last cart is read; after a crash the old lease is waited out."""
    host = cluster.way.hosts.pop()
    await (host.kill() if crash else host.stop())
    began = time.perf_counter()
    await cluster.start("host-0")
    await cluster.region.read("cart", f"g-{1:032x}")
    return time.perf_counter() - began


def main(entities: Annotated[int, typer.Option(min=50_000)] = 1_000_000) -> None:
    """Fill a journal and measure what its size costs."""
    folder = Path(tempfile.mkdtemp(prefix="entities-"))
    try:
        measured = asyncio.run(measure(folder, entities))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("what", "value", title=f"{entities:,} carts in the journal")
    table.add_row(f"CPU per command after {FIRST:,} carts", f"{measured.cpu_first:.0f} µs")
    table.add_row(f"CPU per command after {entities:,}", f"{measured.cpu_last:.0f} µs")
    table.add_row("memory of a resident cart of three lines", f"{measured.resident:,.0f} bytes")
    table.add_row("a host's start after a crash", f"{measured.restart_after_crash:.2f} s")
    table.add_row("a host's start after an end in order", f"{measured.restart_in_order:.2f} s")
    table.add_row("the journal's file", f"{measured.journal_mb:,.0f} MB")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
