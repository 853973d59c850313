"""`troupe suppressions`: the addresses that are not written to, and writing to one again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from serve.cli import access
from serve.cli.dead_letters import moment
from serve.cli.running import read_settings
from serve.settings import Settings

PATH = "/api/admin/notifications/suppressed"
PAGE = 500

app = typer.Typer(help="Addresses that bounced or complained, and are not written to. Without a command: list them.")
console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


@app.callback(invoke_without_command=True)
def suppressions(context: typer.Context, data: Data = None) -> None:
    """Addresses that bounced or complained, and are not written to. Without a command: list them."""
    if context.invoked_subcommand is None:
        show(data)


@app.command("list")
def show(data: Data = None) -> None:
    """Show each, the newest first: the id that stands for it, why and since when, and whose mail it was if known.

    The shop must run. Addresses themselves are not kept.
    """
    none = True
    for one in _all(read_settings(data=data)):
        none = False
        console.print(_told(one))
    if none:
        console.print("Every address is written to.")


@app.command("lift")
def lift(
    address: Annotated[str, typer.Argument(help="The address itself, or its id as the list has it.")], data: Data = None
) -> None:
    """Write to an address again. The shop must run; its record of what staff change says so, without the address."""
    answer = access.ask(read_settings(data=data), "POST", f"{PATH}/lift", {"address": address})
    if not answer["lifted"]:
        complaints.print("This address is not in the list.")
        raise typer.Exit(1)
    console.print("It is written to again. The list that Amazon SES keeps by itself may have it, too.")


def _all(settings: Settings) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": PAGE} if cursor is None else {"limit": PAGE, "cursor": cursor}
        page = access.ask(settings, "GET", PATH, query=query)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _told(one: dict[str, Any]) -> str:
    order = f", order {one['order_id']}" if one["order_id"] else ""
    return f"{one['id']} {one['reason']}, since {moment(one['at'])}, {one['owner'] or 'nobody known'}{order}"
