"""`troupe run` and `troupe stop`."""

import os
import secrets
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from serve import preflight, processes, production, setting_up, supervising
from serve import settings as settings_module
from serve.kept_secrets import with_secrets
from serve.preflight import CannotStart
from serve.settings import Settings
from serve.settings_errors import SettingsError

console = Console(stderr=True, highlight=False, soft_wrap=True)

STOP_SECONDS = 60.0


def read_settings(port: int | None = None, data: Path | None = None, **more: Any) -> Settings:
    """The settings; what is wrong with them ends the command with a text for people."""
    given = {name: value for name, value in (("port", port), ("data_dir", data)) if value is not None}
    try:
        return settings_module.load(**given, **more)
    except SettingsError as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(2) from None


def open_shop(settings: Settings, *, demo: bool) -> None:
    """Runs a shop until a signal; what keeps it from starting ends the command with a text for people."""
    try:
        production.check(settings, os.environ)
        supervising.end_leftovers(settings, console.print)
        preflight.check(settings)
        setting_up.set_up_before_start(settings, console.print)
    except (CannotStart, setting_up.SetupFailed) as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from None
    code = supervising.supervise(with_secrets(settings), secrets.token_hex(8), demo)
    if code:
        raise typer.Exit(code)
    console.print("The shop is closed." if settings.is_whole else "Closed.")


def run(
    port: Annotated[int | None, typer.Option(help="Listen at this port instead of TROUPE_PORT.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep everything here, not in TROUPE_DATA_DIR.")] = None,
    demo: Annotated[bool, typer.Option(help="Load the demo shop if the catalogue is empty.")] = True,
) -> None:
    """Run the shop on this machine until Ctrl-C."""
    open_shop(read_settings(port, data), demo=demo)


def stop(data: Annotated[Path | None, typer.Option(help="The data folder of the shop to stop.")] = None) -> None:
    """Stop the shop that runs on the data folder, in order."""
    settings = read_settings(data=data)
    running = processes.noted(settings.data_dir)
    if running is None or not processes.alive(running):
        left = processes.sweep(running.mark) if running else 0
        console.print(f"No shop runs on {settings.data_dir}. Processes left behind and ended: {left}.")
        return
    os.kill(running.pid, signal.SIGTERM)
    patience = STOP_SECONDS + settings.closing_seconds + settings.checkout_wait_seconds
    until = time.monotonic() + patience
    while processes.alive(running):
        if time.monotonic() > until:
            console.print(f"It takes longer than {patience:.0f} s; ending what is left")
            processes.sweep(running.mark)
            os.kill(running.pid, signal.SIGKILL)
            break
        time.sleep(0.2)
    console.print("The shop is closed.")
