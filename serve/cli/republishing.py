"""`troupe republish`: all that happened, for a Kafka that does not have it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serve.cli.rebuilding import BROKE_OFF, complaints
from serve.cli.running import read_settings
from serve.republishing import CannotRepublish, Republished
from serve.republishing import republish as tell_again
from serve.setting_up import SetupFailed

console = Console(soft_wrap=True, highlight=False, markup=False)


def republish(
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
) -> None:
    """Have all that the journals hold told to a new or emptied Kafka, as soon as the shop, now closed, is open again.

    Topics that have anything stay as they are. Ends with 2 if it cannot be done.
    """
    try:
        done = tell_again(read_settings(data=data), console.print)
    except (CannotRepublish, SetupFailed) as error:
        complaints.print(str(error))
        raise typer.Exit(2) from None
    except BROKE_OFF as error:
        # A driver's text may have the address in it, and that a password.
        complaints.print(f"It broke off: {type(error).__name__}. Do it again before the shop is opened.")
        raise typer.Exit(2) from None
    _report(done)


def _report(done: Republished) -> None:
    if not done.kinds and not done.products:
        console.print("Every topic has events already: nothing is told again.")
        return
    console.print(f"From the first event on: {', '.join(done.kinds) or 'nothing'}, as soon as the shop is open.")
    console.print(f"{done.products} products were told as they are; a new search index was asked for.")
    console.print(f"Flows begin anew at {done.positions} places, and do nothing twice.")
    if done.spared:
        console.print(f"{done.spared} rows keep people from being told now what they were not told then.")
    console.print(
        "What accounts told, and what the catalogue told before, is in no journal: if it was lost with the old Kafka, "
        "it does not come back. What was made of it stays. `troupe rebuild --check` shows what differs."
    )
