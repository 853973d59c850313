"""`troupe migrate-data`: from a data folder to the servers of the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from elasticsearch import ApiError, TransportError
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from actors.journal.base import JournalUnavailable
from serve.cli.running import read_settings
from serve.migrating.failing import CannotMigrate
from serve.migrating.moving import Moved, move
from serve.settings import Settings

BROKE_OFF = (
    SQLAlchemyError,
    PyMongoError,
    KafkaError,
    ApiError,
    TransportError,
    JournalUnavailable,
    TimeoutError,
    OSError,
)

console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def migrate_data(
    source: Annotated[Path, typer.Option("--from", help="The data folder of the closed shop; nothing in it changes.")],
    retry_dead_letters: Annotated[
        bool, typer.Option("--retry-dead-letters", help="Go on though flows have given up on events.")
    ] = False,
) -> None:
    """Copy a closed shop from a data folder to the servers of the settings, and compare the counts.

    Ends with 1 if they differ, with 2 if it cannot be done. The servers must be set up and empty.
    """
    settings = read_settings()
    try:
        moved = _shown(source.expanduser().absolute(), settings, retry_dead_letters)
    except CannotMigrate as error:
        console.print(str(error), style="red")
        raise typer.Exit(2) from None
    except BROKE_OFF as error:
        # A driver's text may have the address in it, and that a password, or a person's data.
        console.print(
            f"It broke off: {type(error).__name__}. If anything was copied, drop the databases and run `troupe setup` "
            "before the next try.",
            style="red",
        )
        raise typer.Exit(2) from None
    _report(moved)


def _shown(folder: Path, settings: Settings, letters: bool) -> Moved:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def begin(name: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda rows: progress.advance(task, rows)

        return move(folder, settings, begin, letters=letters)


def _report(moved: Moved) -> None:
    different = [one for one in moved.counts if not one.agrees]
    for one in different:
        console.print(f"{one.name}: {one.source} rows in the folder, {one.target} on the server", style="red")
    if different:
        raise typer.Exit(1)
    rows = sum(one.source for one in moved.counts)
    console.print(f"All counts agree: {rows} rows in {len(moved.counts)} tables.")
    if moved.spared:
        console.print(f"{moved.spared} rows keep people from being told now what they were not told then.")
    console.print("Now start the shop on the servers, and look at `troupe audit` once it is quiet.")
