"""`troupe setup`: what servers need before a shop can run on them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serve import setting_up, setup_steps
from serve.cli.running import read_settings

console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


def setup(data: Data = None) -> None:
    """Make the databases and their tables, or bring them up to date. It can be run again at any time."""
    try:
        setup_steps.set_up(read_settings(data=data), console.print)
    except setting_up.SetupFailed as failed:
        complaints.print(str(failed))
        raise typer.Exit(1) from None
