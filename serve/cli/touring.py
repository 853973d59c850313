"""`troupe tour`: walks through a shop as a shopper and shows what each request really set going."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from aiokafka.errors import KafkaError
from elasticsearch import ApiError, TransportError
from pymongo.errors import PyMongoError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from pipelines.log.topics import TopicsFailed
from serve import processes
from serve import settings as settings_module
from serve.cli import access
from serve.cli.running import read_settings
from serve.cluster import temporary_folders
from serve.settings import Settings
from serve.tour.caller import Caller, CallFailed
from serve.tour.looking import Stop
from serve.tour.show import summary, tree
from serve.tour.trail import Trail
from serve.tour.walk import Walk

START_SECONDS = 240.0
STOP_SECONDS = 90.0
LOOK_EVERY = 0.5
AWAY = (SQLAlchemyError, PyMongoError, KafkaError, ApiError, TransportError, TimeoutError, TopicsFailed)

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False, soft_wrap=True)


def tour(
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Where the shop on that folder answers, if not where it says.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="A shop of its own, also if one runs on the folder.")] = False,
) -> None:
    """Register, search, buy, pay, track: and show each hop, from the balancer to the flows that read the events.

    Uses the shop that runs on the data folder (it leaves an account and an order there); if none does, starts one with
    the demo products on a folder of its own, and removes it afterwards. What is on servers is read from them; what a
    shop of its own wrote there it leaves.
    """
    settings = read_settings(data=data)
    running = processes.noted(settings.data_dir)
    there = running is not None and processes.alive(running)
    try:
        if there and not own:
            _walk(settings, url or access.url_of(settings))
        else:
            with _own_shop() as made:
                _walk(made, made.url)
    except CallFailed as error:
        complaints.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    except AWAY as error:
        # A driver's text may have the address in it, and that a password.
        complaints.print(f"A server does not answer: {type(error).__name__}", style="red")
        raise typer.Exit(1) from None


def _walk(settings: Settings, url: str) -> None:
    with closing(Caller(url)) as caller, closing(Trail(settings)) as trail:
        stops: list[Stop] = []
        walk = Walk(caller, trail, lambda: asyncio.run(access.staff_token(settings)), settings.shipping[0].method)
        for stop in walk.stops():
            stops.append(stop)
            console.print(tree(len(stops), stop))
            console.print()
        console.print(summary(stops))


@contextmanager
def _own_shop() -> Iterator[Settings]:
    """A shop on a folder that nobody else has, until the block ends. Raises CallFailed if it does not open."""
    folder = Path(tempfile.mkdtemp(prefix="troupe-tour-"))
    settings = settings_module.load(data_dir=folder / "data", port=_free_port(), host="127.0.0.1", public_url="")
    try:
        with (folder / "run.log").open("wb") as log:
            place = {"TROUPE_DATA_DIR": str(settings.data_dir), "TROUPE_PORT": str(settings.port)}
            shop = subprocess.Popen(
                [sys.executable, "-m", "serve.cli.main", "run", "--demo"],
                env={**os.environ, **place, "TROUPE_HOST": settings.host, "TROUPE_PUBLIC_URL": ""},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            with complaints.status("Starting a shop of its own for the tour"):
                _wait_until_open(shop, settings.url, folder / "run.log")
            yield settings
        finally:
            with complaints.status("Closing it"):
                shop.terminate()
                try:
                    shop.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    shop.kill()
                    shop.wait()
    finally:
        for left in (folder, *temporary_folders(settings.data_dir)):
            shutil.rmtree(left, ignore_errors=True)


def _wait_until_open(shop: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        text = log.read_text(errors="replace")
        if shop.poll() is not None:
            raise CallFailed(f"The shop did not start:\n{text[-4000:]}")
        # Said when the demo is loaded, too.
        if "The shop is open" in text and _is_ready(url):
            return
        if time.monotonic() > until:
            raise CallFailed(f"The shop did not open within {START_SECONDS:.0f} s:\n{text[-4000:]}")
        time.sleep(LOOK_EVERY)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health/ready", timeout=10.0).status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
