"""`troupe simulate`: whole lives of the shop on virtual time, each from a seed, for whoever changes the runtime."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN_FAILURES = 5


def simulate(
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 300,
    first: Annotated[int, typer.Option(help="The first of them.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes at once.", min=1)] = 2,
) -> None:
    """Run a simulated cluster once for each seed, with faults, and check every promise. Needs a source checkout."""
    console = Console()
    run_seed = _simulation(console)
    failed: list[str] = []
    columns = (TextColumn("seed {task.fields[seed]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=seeds, seed=first)
        for report in _reports(run_seed, range(first, first + seeds), jobs):
            progress.update(task, advance=1, seed=report.plan.seed)
            if not report.passed:
                failed.append(str(report.plan.seed))
                if len(failed) <= SHOWN_FAILURES:
                    progress.console.print(str(report), markup=False, highlight=False)
    if failed:
        console.print(f"{len(failed)} of {seeds} seeds failed: {', '.join(failed)}", style="bold red")
        console.print(f"Again, one alone: troupe simulate --seeds 1 --first {failed[0]}")
        raise typer.Exit(1)
    console.print(f"{seeds} seeds kept every promise.", style="green")


def _simulation(console: Console) -> Callable[[int], Any]:
    """The simulation is part of the tests, so it is there in a checkout only."""
    try:
        runner: Callable[[int], Any] = import_module("tests.simulation.run").run_seed
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("tests"):
            raise
        console.print(f"There is no simulation in {Path.cwd()}: run this in a checkout of the sources.", style="red")
        raise typer.Exit(2) from None
    return runner


def _reports(run_seed: Callable[[int], Any], seeds: range, jobs: int) -> Iterator[Any]:
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_seed, seeds, chunksize=4)
