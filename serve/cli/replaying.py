"""`troupe replay`: the invoices of a real shop, sent to the running one and compared to the penny."""

import asyncio
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from serve.catalog.service import Catalog
from serve.cli import access
from serve.cli.running import read_settings
from serve.replay.calling import GaveUp
from serve.replay.importing import CannotImport
from serve.replay.invoices import InvoicesUnreadable
from serve.replay.replaying import Options, Replay, Replayed, WrongShop
from serve.replay.report import show
from serve.settings import Settings

console = Console(stderr=True, highlight=False)


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A .csv or .csv.gz file.")],
    first: Annotated[int | None, typer.Option(min=1, help="Only the first so many invoices.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Invoices at once.")] = 32,
    settle_seconds: Annotated[float, typer.Option(min=0, help="How long an order or refund may take.")] = 60.0,
    shipping: Annotated[str, typer.Option(help="A way to ship that costs nothing.")] = "pickup",
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
) -> None:
    """Send each invoice of a file to the running shop as a cart and a checkout, and compare the totals.

    The same file again does nothing twice. Ends with 1 on any difference or refusal.
    """
    settings = read_settings(data=data)
    access.needs_running(settings)
    try:
        replayed = asyncio.run(_replay(settings, file, Options(first, concurrency, settle_seconds, shipping)))
    except (InvoicesUnreadable, CannotImport, WrongShop, GaveUp, httpx.HTTPError) as error:
        console.print(str(error) or type(error).__name__, style="red", markup=False)
        raise typer.Exit(2) from None
    show(replayed, Console())
    if not replayed.comparison.clean:
        raise typer.Exit(1)


class _Bar:
    """One bar for each step of the replay."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, what: str, total: int | None) -> None:
        self.end()
        self._task = self._progress.add_task(what, total=total)

    def advance(self) -> None:
        assert self._task is not None
        self._progress.advance(self._task)

    def end(self) -> None:
        if self._task is not None and self._progress.tasks[self._task].total is None:
            self._progress.update(self._task, total=1, completed=1)


async def _replay(settings: Settings, file: Path, options: Options) -> Replayed:
    catalog = await asyncio.to_thread(Catalog, settings.database_url("catalog"), currency=settings.currency)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console) as progress:
            bar = _Bar(progress)
            async with access.client(settings, options.concurrency + 8) as client:
                replayed = await Replay(client, catalog, options, bar).run(file)
            bar.end()
            return replayed
    finally:
        await catalog.close()
