"""`troupe search`: looks after the index that products are found in."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serve import processes
from serve.catalog.search.choosing import ask_for_rebuild
from serve.cli.running import read_settings

app = typer.Typer(no_args_is_help=True, help="The index that products are found in.")
console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


@app.callback()
def search() -> None:
    """The index that products are found in."""


@app.command("rebuild")
def rebuild(data: Data = None) -> None:
    """Build the index anew from the catalogue's events. The old one answers until the new one is complete."""
    settings = read_settings(data=data)
    if settings.mysql_url is None and not settings.database("catalog").exists():
        complaints.print(f"There is no shop in {settings.data_dir}: {settings.database('catalog').name} is missing.")
        raise typer.Exit(2)
    asyncio.run(ask_for_rebuild(settings))
    running = processes.noted(settings.data_dir)
    open_now = running is not None and processes.alive(running)
    when = "The shop begins within a second" if open_now else "No shop runs: it begins when it is opened"
    console.print(f"Asked for a new search index. {when}; the old one answers until then.")
