"""`troupe dead-letters`: the events that flows gave up on, and another try for them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from pipelines.progress import DeadLetter, SqlProgress
from pipelines.sql.revisions import SchemaBehind
from serve import processes
from serve.cli.running import read_settings
from serve.settings import Settings

T = TypeVar("T")

app = typer.Typer(help="Events that flows gave up on. Without a command: list them.")
console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


@app.callback(invoke_without_command=True)
def dead_letters(context: typer.Context, data: Data = None) -> None:
    """Events that flows gave up on. Without a command: list them."""
    if context.invoked_subcommand is None:
        show(data)


@app.command("list")
def show(data: Data = None) -> None:
    """Show each with its flow, when it happened and was put aside, why, and how often it was tried."""
    letters = _with(read_settings(data=data), lambda progress: progress.all_letters())
    for flow, letter in letters:
        console.print(_told(flow, letter))
    if not letters:
        console.print("There are no dead letters.")


@app.command("retry", hidden=True)
@app.command("replay")
def replay(
    flow: Annotated[str, typer.Argument(help="The flow, as the list names it; over Kafka also without @TOPIC-NUMBER.")],
    event: Annotated[str | None, typer.Argument(help="Only this event, and others of the same entity.")] = None,
    data: Data = None,
) -> None:
    """Have the dead letters of a flow tried again: all, or those of the entity of one event, in order.

    The running shop begins within about a second; a closed one when it is opened.
    """
    settings = read_settings(data=data)

    def ask(progress: SqlProgress) -> Awaitable[int]:
        return progress.want(flow) if event is None else progress.want_beside(flow, event)

    asked = _with(settings, ask)
    if not asked:
        complaints.print(f"The flow {flow} has no dead letter{f' {event}' if event else 's'}.")
        raise typer.Exit(1)
    when = "The shop tries them now" if is_open(settings) else "No shop runs: they are tried when it is opened"
    if settings.mysql_url is not None:
        when = "The shop tries them within seconds, wherever it runs, or when it is opened"
    console.print(f"Asked for another try of {asked}. {when}; what fails again stays in the list.")


def _with(settings: Settings, work: Callable[[SqlProgress], Awaitable[T]]) -> T:
    """What `work` answers for the folder's flows. Ends the command if there are none, or their file does not answer."""
    path = settings.database("flows")
    if settings.mysql_url is None and not path.exists():
        complaints.print(f"There is no shop in {settings.data_dir}: {path.name} is missing.")
        raise typer.Exit(2)

    async def run() -> T:
        progress = SqlProgress(settings.database_url("flows"))
        try:
            return await work(progress)
        finally:
            await progress.close()

    try:
        return asyncio.run(run())
    except SchemaBehind as error:
        complaints.print(str(error))
        raise typer.Exit(2) from None
    except SQLAlchemyError as error:
        # A driver's text may have the address in it.
        told = f"{path} does not answer: {error}" if settings.mysql_url is None else "MySQL does not answer."
        complaints.print(told)
        raise typer.Exit(2) from None


def is_open(settings: Settings) -> bool:
    """Whether a shop runs on the data folder."""
    running = processes.noted(settings.data_dir)
    return running is not None and processes.alive(running)


def _told(flow: str, letter: DeadLetter) -> str:
    happened, buried = (moment(at) for at in (letter.happened.at, letter.buried_at))
    state = " (waits for another try)" if letter.wanted else ""
    times = f"tried {letter.attempts} times" if letter.attempts else "not tried"
    return (
        f"{flow} {letter.happened.id}{state}\n"
        f"  happened {happened}, put aside {buried}, {times}\n"
        f"  {' '.join(letter.error.split())}"
    )


def moment(milliseconds: int) -> str:
    """A time (UTC, milliseconds) as people read it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
