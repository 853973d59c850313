"""`troupe audit`: whether money, stock and messages of a shop add up, running or not."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from serve.audit.auditing import audit as look
from serve.audit.copying import copy_shop, on_servers
from serve.audit.findings import Findings
from serve.audit.report import show
from serve.audit.sources import NoShop
from serve.cli.running import read_settings
from serve.settings import Settings

console = Console(stderr=True, highlight=False)


def audit(
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
    settled: Annotated[bool, typer.Option("--settled", help="What is still under way counts as wrong, too.")] = False,
) -> None:
    """Check the journal and every database of a shop against each other. Ends with 1 if anything is wrong."""
    settings = read_settings(data=data)
    try:
        booked = settings.stripe_secret_key is None
        findings = _on_servers(settings, booked) if on_servers(settings) else _look(settings.data_dir, booked)
    except (NoShop, SQLAlchemyError, PyMongoError, KafkaError, TimeoutError) as error:
        # A driver's text may have the address in it, and that a password.
        text = str(error) if isinstance(error, NoShop) else f"A database does not answer: {type(error).__name__}"
        console.print(text, style="red", markup=False)
        raise typer.Exit(2) from None
    if not booked:
        console.print("Stripe's side of the money is not looked at here; `troupe reconcile` does.")
    show(findings, Console(), settled=settled)
    if not findings.clean(settled=settled):
        raise typer.Exit(1)


def _look(folder: Path, booked: bool) -> Findings:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"auditing {folder}", total=None)
        return look(folder, lambda done, of: progress.update(task, completed=done, total=of), booked=booked)


def _on_servers(settings: Settings, booked: bool) -> Findings:
    with tempfile.TemporaryDirectory(prefix="troupe-audit-") as folder:
        with console.status("copying the databases") as status:
            copy_shop(settings, Path(folder), status.update)
        return _look(Path(folder), booked)
