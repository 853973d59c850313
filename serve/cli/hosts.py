"""`troupe hosts`: the processes that run the entities of a running shop."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from serve.cli import access
from serve.cli.running import read_settings

app = typer.Typer(no_args_is_help=True, help="The processes that run the entities of a running shop.")
console = Console()

Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


@app.command("list")
def list_hosts(data: Data = None) -> None:
    """Show each host with what it has."""
    _show(_call("GET", data, None))


@app.command("set")
def set_hosts(
    count: Annotated[int, typer.Argument(min=1, max=64, help="How many there shall be.")], data: Data = None
) -> None:
    """Have so many hosts. Shards move in order, a few at a time; shoppers notice nothing but a short wait."""
    with console.status(f"Moving shards until there are {count} hosts"):
        answer = _call("PUT", data, {"count": count})
    _show(answer)


def _call(method: str, data: Path | None, body: Any) -> dict[str, Any]:
    return access.ask(read_settings(data=data), method, "/api/admin/hosts", body, seconds=150.0)


def _show(answer: dict[str, Any]) -> None:
    columns = ("name", "state", "pid", "shards", "entities", "open", "parked", "backlog")
    table = Table(*columns, "stuck")
    for host in answer["items"]:
        table.add_row(*[str(host[column]) for column in columns], ", ".join(host["stuck"]) or "-")
    console.print(table)
