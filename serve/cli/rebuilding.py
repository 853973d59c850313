"""`troupe rebuild`: read models made anew from all that happened, and compared with what is there."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from elasticsearch import ApiError, TransportError
from elasticsearch.helpers import ScanError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from actors.journal.base import JournalUnavailable
from pipelines import keep_prices
from pipelines.log.kafka import ClientBroken
from pipelines.log.topics import TopicsFailed
from pipelines.progress import SqlProgress
from pipelines.sql.revisions import SchemaBehind
from serve.cli.dead_letters import is_open
from serve.cli.running import read_settings
from serve.opened import Opened
from serve.rebuilding import search
from serve.rebuilding.beside import Tell
from serve.rebuilding.choosing import NoShop, check, history_of, live_of
from serve.rebuilding.comparing import MENDABLE, Difference
from serve.rebuilding.models import TABLES
from serve.rebuilding.tables import Mode, Rebuilt, rebuild
from serve.settings import Settings

BROKE_OFF = (
    SQLAlchemyError,
    KafkaError,
    ClientBroken,
    ApiError,
    TransportError,
    ScanError,
    JournalUnavailable,
    TimeoutError,
    ConnectionError,
)
MOST_NAMED = 20
MODELS = {model.name: model for model in TABLES}
_WHAT = {
    "missing": "is missing",
    "different": "is not as the events tell",
    "unknown": "is there, and the events tell nothing of it, or not of all",
    "newer": "is of a later version than the last event",
    "partial": "has no beginning in the log",
}

console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


def rebuild_models(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; none: show what can be rebuilt.")] = None,
    only_check: Annotated[bool, typer.Option("--check", help="Only compare, and change nothing.")] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="What the events do not tell, or not whole, gives way, too.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
) -> None:
    """Make read models anew from the first event on, compare, and put right what differs; the shop may run.

    Ends with 1 if anything differs still, with 2 if it cannot be done.
    """
    if not names:
        _list()
        return
    if unknown := [name for name in names if name not in (*MODELS, search.NAME)]:
        complaints.print(_unknown(unknown[0]))
        raise typer.Exit(2)
    settings = read_settings(data=data)
    mode: Mode = "check" if only_check else "drop" if drop else "mend"
    try:
        check(settings, ["flows", "journal"])
        rebuilt = asyncio.run(_rebuild(names, settings, mode))
    except (NoShop, TopicsFailed, SchemaBehind) as error:
        complaints.print(str(error))
        raise typer.Exit(2) from None
    except BROKE_OFF as error:
        # A driver's text may have the address in it, and that a password, or a person's data.
        complaints.print(f"It broke off: {type(error).__name__}. What was put right stays so; it can be done again.")
        raise typer.Exit(2) from None
    if not all(one.equal for one in rebuilt):
        raise typer.Exit(1)


def _list() -> None:
    for name, what in (*((model.name, model.what) for model in TABLES), (search.NAME, search.WHAT)):
        console.print(f"{name:20} {what}")


def _unknown(name: str) -> str:
    if name == keep_prices.NAME:
        return "Each replica makes the prices that carts know anew, in memory, whenever it starts."
    return f"Nothing is called {name} that can be rebuilt. `troupe rebuild` shows what there is."


async def _rebuild(names: Sequence[str], settings: Settings, mode: Mode) -> list[Rebuilt]:
    done = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    for name in names:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            tell = partial(_show, progress, progress.add_task(name, total=None))
            done.append(await _one(name, settings, mode, tell))
        _report(name, done[-1], mode)
    return done


def _show(progress: Progress, task: TaskID, read: int, of: int) -> None:
    progress.update(task, completed=read, total=of)


async def _one(name: str, settings: Settings, mode: Mode, tell: Tell) -> Rebuilt:
    async with Opened() as opened:
        if name == search.NAME:
            products, stock = (history_of([kind], settings, opened) for kind in search.READS)
            # On servers it may be elsewhere that the shop runs.
            waits = search.BUILDING_SECONDS if is_open(settings) or settings.elasticsearch_url is not None else 0.0
            return await search.rebuild_index(settings, products, stock, mode, tell, building_seconds=waits)
        model = MODELS[name]
        standings = opened.closing(SqlProgress(settings.database_url("flows")))
        live, history = live_of(model, settings, opened), history_of(model.reads, settings, opened)
        return await rebuild(model, history, standings, live, mode, tell)


def _report(name: str, rebuilt: Rebuilt, mode: Mode) -> None:
    events = f"{rebuilt.events} events"
    if not (rebuilt.found or rebuilt.moving):
        console.print(f"{name}: equal. {rebuilt.keys} of {events}, checksum {rebuilt.there}")
    else:
        console.print(f"{name}: {len(rebuilt.found)} differ of {rebuilt.keys} of {events}.")
        console.print(f"  checksum {rebuilt.there}, of the events {rebuilt.made}")
        _name(rebuilt.found)
        mended = len(rebuilt.found) - len(rebuilt.left)
        if mode != "check":
            console.print(f"  {max(0, mended)} put right, checksum {rebuilt.now}")
    if rebuilt.left and mode != "check":
        complaints.print(f"{name}: {len(rebuilt.left)} stay as they are{_why(name, rebuilt)}")
    if rebuilt.moving:
        complaints.print(
            f"{name}: {len(rebuilt.moving)} could not be compared: the flow is behind (does the shop run?), or they "
            "change all the time. Try again."
        )
    if rebuilt.unreadable:
        complaints.print(f"{name}: {len(rebuilt.unreadable)} events cannot be read, the first {rebuilt.unreadable[0]}")


def _why(name: str, rebuilt: Rebuilt) -> str:
    if any(one.what not in MENDABLE for one in rebuilt.left):
        return "; --drop has only the events count."
    if name == search.NAME:
        return ". Another index was asked for, and is built once the shop is open."
    return ": they were written to all the time. Try again."


def _name(differences: Sequence[Difference]) -> None:
    for one in differences[:MOST_NAMED]:
        console.print(f"  {one.key} {_WHAT[one.what]}")
    if len(differences) > MOST_NAMED:
        console.print(f"  and {len(differences) - MOST_NAMED} more")
