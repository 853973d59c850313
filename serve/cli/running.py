"""`troupe run` and `troupe stop`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from serve import processes
from serve import settings as settings_module
from serve.cluster import Cluster
from serve.kept_secrets import with_secrets
from serve.preflight import CannotStart
from serve.settings import Settings, SettingsError

console = Console(stderr=True)

STOP_SECONDS = 60.0


def read_settings(port: int | None = None, data: Path | None = None) -> Settings:
    """The settings; what is wrong with them ends the command with a text for people."""
    given = {name: value for name, value in (("port", port), ("data_dir", data)) if value is not None}
    for sentence in settings_module.misspelt(os.environ):
        console.print(f"[yellow]{sentence}")
    try:
        return settings_module.load(**given)
    except SettingsError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(2) from None


def run(
    port: Annotated[int | None, typer.Option(help="Listen at this port instead of TROUPE_PORT.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep everything here, not in TROUPE_DATA_DIR.")] = None,
    demo: Annotated[bool, typer.Option(help="Load the demo shop if the catalogue is empty.")] = True,
) -> None:
    """Run the shop on this machine until Ctrl-C."""
    settings = with_secrets(read_settings(port, data))
    stopping = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        stopping.set()

    began = time.monotonic()
    cluster = Cluster(settings, lambda text: console.print(f"[dim]{time.monotonic() - began:5.1f} s[/] {text}"))
    try:
        cluster.start()
        # Ray sets handlers of its own while it starts.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if demo:
            _load_demo(settings)
        _tell_where(settings, time.monotonic() - began)
        while not stopping.wait(1.0):
            pass
    except CannotStart as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted")
    finally:
        cluster.stop()
    console.print("The shop is closed.")


def stop(data: Annotated[Path | None, typer.Option(help="The data folder of the shop to stop.")] = None) -> None:
    """Stop the shop that runs on the data folder, in order."""
    settings = read_settings(data=data)
    running = processes.noted(settings.data_dir)
    if running is None or not processes.alive(running):
        left = processes.sweep(running.mark) if running else 0
        console.print(
            f"No shop runs on {settings.data_dir}." + (f" Ended {left} processes left behind." if left else "")
        )
        return
    os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while processes.alive(running):
        if time.monotonic() > until:
            console.print(f"It takes longer than {STOP_SECONDS:.0f} s; ending what is left")
            processes.sweep(running.mark)
            os.kill(running.pid, signal.SIGKILL)
            break
        time.sleep(0.2)
    console.print("The shop is closed.")


def _load_demo(settings: Settings) -> None:
    from serve.cli.demo import load

    load(settings, console)


def _tell_where(settings: Settings, seconds: float) -> None:
    url = settings.url
    out = Console()
    out.print(f"\n[bold green]The shop is open[/] after {seconds:.0f} s: {url}/docs   (Ctrl-C closes it)\n")
    out.print("Buy something:")
    sku = "$SKU"
    lines = (
        f"SKU=$(curl -s '{url}/api/catalog/products?limit=1' | python3 -c "
        '\'import json,sys; print(json.load(sys.stdin)["items"][0]["sku"])\')',
        f"TOKEN=$(curl -s {url}/api/cart/items -H 'Content-Type: application/json' "
        f'-d \'{{"sku": "\'{sku}\'", "quantity": 2}}\' | python3 -c '
        "'import json,sys; print(json.load(sys.stdin)[\"guest_token\"])')",
        f"curl -s {url}/api/orders -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d "
        '\'{"email": "you@example.com", "address": {"name": "You", "line1": "1 High Street", '
        '"city": "London", "postal_code": "N1 9GU", "country": "GB"}, "shipping_method": "standard", '
        '"payment": {"method": "card", "reference": "pm_card_visa"}}\'',
    )
    for line in lines:
        sys.stdout.write(f"  {line}\n")
    sys.stdout.write("\n")
    sys.stdout.flush()
