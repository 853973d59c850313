"""Measures targets side by side: `python -m benchmarks.run --target stateless-sqlite --target troupe`."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.load import STEPS
from benchmarks.machine import describe
from benchmarks.measure import Root, Sample, between, sample
from benchmarks.on_servers import StatelessOnMySQL, TroupeOnServers
from benchmarks.plot import draw
from benchmarks.report import page
from benchmarks.results import Cell, Measured, Results
from benchmarks.samples import Run, Summary, summarise
from benchmarks.servers import MariaDB, Stateless
from benchmarks.target import PLACE, Missing, Target, end_when_told
from benchmarks.troupe import Attached, Troupe

TARGETS = ("stateless-sqlite", "stateless-mariadb", "troupe")
ON_SERVERS = ("stateless-mysql", "troupe-servers")
"""Not measured unless they are asked for: their servers are downloaded."""
_NAMES = ", ".join((*TARGETS, *ON_SERVERS))
NOT_MEASURED = 2
"""Exit status when a target that was asked for could not be measured."""


class Step(msgspec.Struct, frozen=True):
    """One measurement of the schedule."""

    round: int
    target: str
    cell: Cell


def schedule(targets: list[str], cells: list[Cell], rounds: int, together: bool) -> Iterator[Step]:
    """The order of measuring. Each round begins with another target, so that a slow hour meets all of them.

    `together`: all targets run all the time and take turns at each cell. Else one runs at a time, and does its cells
    of the round in a row: what the others cost while idle is then in nobody's numbers.
    """
    for number in range(rounds):
        turned = targets[number % len(targets) :] + targets[: number % len(targets)]
        if together:
            yield from (Step(number, target, cell) for cell in cells for target in turned)
        else:
            yield from (Step(number, target, cell) for target in turned for cell in cells)


def cells(scenarios: list[str], clients: list[int]) -> list[Cell]:
    """What is driven: every scenario at every number of clients; the long order by one client only."""
    return [Cell(name, number) for name in scenarios for number in (clients if name != "order500" else [1])]


class Bench:
    """Starts what the schedule asks for, drives it, and ends everything at the end."""

    def __init__(
        self, targets: dict[str, Target], folder: Path, *, together: bool, seconds: float, processes: int
    ) -> None:
        self._targets, self._folder = targets, folder
        self._together, self._seconds, self._processes = together, seconds, processes
        self._running: set[str] = set()
        self.missing: dict[str, str] = {}

    def measure(self, step: Step, warm_up: float) -> Measured | None:
        """One step; None if its target cannot be measured here."""
        target = self._targets[step.target]
        if step.target in self.missing or not self._started(step.target):
            return None
        skus = self._folder / f"{step.target}.skus.json"
        skus.write_bytes(msgspec.json.encode(target.skus()))
        ends: list[Sample] = []
        runs = self._drive(target, step, skus, warm_up, lambda: ends.append(sample(target.roots())))
        summary: Summary = summarise(runs, STEPS[step.cell.scenario])
        return Measured(step.target, step.cell, step.round, summary, between(ends[0], ends[-1]))

    def stop(self) -> None:
        """Ends all targets, also when one of them does not end well."""
        with ExitStack() as stack:
            for name in self._running:
                stack.callback(self._targets[name].stop)
            self._running = set()

    def _started(self, name: str) -> bool:
        if name in self._running:
            return True
        if not self._together:
            self.stop()
        self._running.add(name)  # before it starts: half a start is ended too
        try:
            self._targets[name].start()
        except Missing as missing:
            self.missing[name] = str(missing)
            self._running.discard(name)
            self._targets[name].stop()
            return False
        return True

    def _drive(self, target: Target, step: Step, skus: Path, warm_up: float, edge: Callable[[], None]) -> list[Run]:
        shares = [len(range(n, step.cell.clients, self._processes)) for n in range(self._processes)]
        options = ["--url", target.url, "--skus", str(skus), "--scenario", step.cell.scenario]
        options += ["--seconds", str(self._seconds), "--warm-up", str(warm_up)]
        commands = [
            [
                sys.executable,
                "-m",
                "benchmarks.load",
                *options,
                "--clients",
                str(share),
                "--name",
                f"{time.time_ns()}-{n}",
            ]
            for n, share in enumerate(shares)
            if share
        ]
        with ExitStack() as stack:
            loads = [stack.enter_context(subprocess.Popen(one, stdout=subprocess.PIPE, cwd=PLACE)) for one in commands]
            for load in loads:
                stack.callback(load.kill)
            # CPU time is taken at the ends of the first process's window; the others' are the same but for their start.
            outputs = [load.stdout for load in loads if load.stdout is not None]
            for _ in ("open", "closed"):
                if not outputs[0].readline():
                    raise RuntimeError("the load generator ended before its window did")
                edge()
            last = [output.read() for output in outputs]
            if any(load.wait() for load in loads):
                raise RuntimeError("the load generator failed: see above")
        return [msgspec.json.decode(output.splitlines()[-1], type=Run) for output in last]


def _targets(
    names: list[str], folder: Path, mariadb_url: str, troupe_url: str, troupe_pids: list[int]
) -> dict[str, Target]:
    made: dict[str, Target] = {}
    for name in names:
        if name == "stateless-sqlite":
            made[name] = Stateless(name, folder / name)
        elif name == "stateless-mariadb":
            server = None if mariadb_url else MariaDB(folder / "mariadb")
            made[name] = Stateless(name, folder / name, server, mariadb_url or None)
        elif name == "troupe":
            made[name] = (
                Attached(troupe_url, [Root(name, pid) for pid in troupe_pids]) if troupe_url else Troupe(folder / name)
            )
        elif name == "stateless-mysql":
            made[name] = StatelessOnMySQL(name, folder / name)
        elif name == "troupe-servers":
            made[name] = TroupeOnServers(folder / name)
        else:
            raise typer.BadParameter(f"{name}: one of {_NAMES}", param_hint="--target")
    return made


def _measure(bench: Bench, steps: list[Step], results: Results, warm_up: float, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("measuring", total=len(steps))
        for step in steps:
            progress.update(task, description=f"{step.target}: {step.cell.scenario}, {step.cell.clients} clients")
            measured = bench.measure(step, warm_up)
            if measured is not None:
                results.rounds.append(measured)
            progress.advance(task)


def _write(results: Results, folder: Path, console: Console) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = results.began.replace(":", "").replace(" ", "-")
    picture = folder / f"{stem}.png"
    (folder / f"{stem}.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    draw(results, picture)
    (folder / f"{stem}.md").write_text(page(results, picture.name if picture.exists() else None))
    console.print(Markdown(page(results)))
    console.print(f"Written: {folder / stem}.json, .md" + (", .png" if picture.exists() else ""))


def main(
    target: Annotated[list[str], typer.Option(help=f"Once or more: {_NAMES}.")] = list(TARGETS),  # noqa: B006
    scenario: Annotated[list[str], typer.Option(help=f"Once or more: {', '.join(STEPS)}.")] = list(STEPS),  # noqa: B006
    clients: Annotated[str, typer.Option(help="Numbers of clients, with commas.")] = "1,16,64,256",
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of each window.")] = 10.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="Seconds of load before each window.")] = 2.0,
    load_processes: Annotated[int, typer.Option(min=1, help="Processes that the clients are shared over.")] = 1,
    together: Annotated[bool, typer.Option(help="Keep all targets running and take turns at each cell.")] = False,
    mariadb_url: Annotated[str, typer.Option(help="A server to use instead of a private one.")] = "",
    troupe_url: Annotated[str, typer.Option(help="A running shop to use instead of starting one.")] = "",
    troupe_pid: Annotated[list[int], typer.Option(help="Roots of that shop's processes.")] = [],  # noqa: B006
    data: Annotated[
        Path | None, typer.Option(help="Where the targets' data goes; default: a temporary folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where results go.")] = PLACE / "benchmarks" / "results",
) -> None:
    """Measures targets in one run, in rounds, and writes JSON, a page of tables and a plot."""
    end_when_told()
    console = Console(stderr=True)
    unknown = [name for name in scenario if name not in STEPS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: one of {', '.join(STEPS)}", param_hint="--scenario")
    folder = data if data is not None else Path(tempfile.mkdtemp(prefix="benchmarks-"))
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        _targets(target, folder, mariadb_url, troupe_url, troupe_pid),
        folder,
        together=together,
        seconds=seconds,
        processes=load_processes,
    )
    steps = list(schedule(target, cells(scenario, [int(number) for number in clients.split(",")]), rounds, together))
    began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    results = Results(began, seconds, describe(folder), target, [])
    try:
        _measure(bench, steps, results, warm_up, console)
    finally:
        bench.stop()
        results.missing = bench.missing
        results.targets = [name for name in target if name not in bench.missing]
        if results.rounds:  # also what was measured before something went wrong
            _write(results, out, console)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    for name, why in bench.missing.items():
        console.print(f"[bold red]{name} was not measured:[/] {why}")
    if bench.missing:
        raise typer.Exit(NOT_MEASURED)


if __name__ == "__main__":
    typer.run(main)
