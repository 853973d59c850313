"""`troupe catalog import` and `troupe catalog export`: products from files and to files.

Products go straight into the data folder's catalogue, with the shop running or not; units go to the running shop over
HTTP, as any receipt of goods does.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from serve.catalog.exporting import export_products
from serve.catalog.importing import Planned, Progress, ReceiveStock, import_products, receive
from serve.catalog.rows import FileRefused, Format, RefusedLine
from serve.catalog.service import Catalog
from serve.cli import access
from serve.cli.running import read_settings
from serve.settings import Settings

MINOR_DIGITS = {"JPY": 0, "KRW": 0, "ISK": 0, "CLP": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3, "TND": 3, "JOD": 3}
"""Decimals of the currencies that have not two."""
TRIES = 8
SHOWN = 100

console = Console(stderr=True, highlight=False, soft_wrap=True)

Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]
Form = Annotated[str | None, typer.Option("--format", help="csv or jsonl; by default what the file's name says.")]


def register(app: typer.Typer) -> None:
    """Adds the group ``catalog`` to the command."""
    group = typer.Typer(no_args_is_help=True, help="Products from files and to files.")
    group.command("import")(import_)
    group.command("export")(export)
    app.add_typer(group, name="catalog")


def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV or JSON Lines file.")],
    form: Form = None,
    data: Data = None,
    stock: Annotated[bool, typer.Option(help="Receive the units in the column stock; the shop must run.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Create or replace products. Lines that cannot be taken are listed; all others are."""
    settings, kind = read_settings(data=data), _format(form, file)
    if stock and not dry_run:
        access.needs_running(settings)
    try:
        with file.open("rb") as opened:
            if dry_run:
                last, left_over = asyncio.run(_rehearse(settings, opened, kind)), 0
            else:
                last, left_over = asyncio.run(_import(settings, opened, kind, stock))
    except FileRefused as error:
        console.print(f"{file}: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    except (httpx.HTTPError, StockNotReceived) as error:
        console.print(f"Units could not be received: {error}", style="red", markup=False)
        console.print("The products are kept. Run the same import again: no unit is received twice.")
        raise typer.Exit(1) from None
    if left_over:
        console.print(f"{left_over} SKUs have units in the file that were not received (--no-stock).")
    if last.refused_in_all:
        raise typer.Exit(3)


def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default the standard output.")] = None,
    form: Form = None,
    data: Data = None,
) -> None:
    """Write all products, so that importing the file again changes nothing. Units are not in it."""
    settings, kind = read_settings(data=data), _format(form, file)
    if settings.mysql_url is None and not settings.database("catalog").exists():
        console.print(f"There is no shop in {settings.data_dir}.", style="red", markup=False)
        raise typer.Exit(1)
    count = asyncio.run(_export(settings, file, kind))
    console.print(f"{count} products written.")


class StockNotReceived(Exception):
    """The shop would not take the units; the text says of what and why."""


def receives_stock(client: httpx.AsyncClient) -> ReceiveStock:
    """Receives units at the running shop of a client with staff rights, waiting where the shop says that it is busy.

    The result raises `StockNotReceived`, or httpx's errors when the shop cannot be reached.
    """

    async def receive_stock(sku: str, quantity: int, key: str) -> None:
        path = f"/api/admin/stock/{sku}/receipts"
        for remaining in reversed(range(TRIES)):
            answer = await client.post(path, json={"quantity": quantity}, headers={"Idempotency-Key": key})
            if answer.status_code not in (429, 503) or not remaining:
                break
            await asyncio.sleep(min(60.0, float(answer.headers.get("retry-after", "1"))))
        if not answer.is_success:
            raise StockNotReceived(f"{sku}: {answer.status_code} {answer.text[:300]}")

    return receive_stock


async def _import(settings: Settings, file: BinaryIO, form: Format, with_stock: bool) -> tuple[Progress, int]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    last, left_over, told = Progress(), 0, _Told("lines refused")
    async with AsyncExitStack() as stack:
        catalog = _opened(settings)
        stack.push_async_callback(catalog.close)
        client = await stack.enter_async_context(access.client(settings)) if with_stock else None
        bar = stack.enter_context(_Bar(file))
        async for last in import_products(catalog, file, form, minor_digits=_digits(settings)):
            told.tell([_refusal(line) for line in last.refused])
            if client is not None:
                await receive(last.stock, receives_stock(client))
            else:
                left_over += len(last.stock)
            bar.show(last)
    told.end()
    console.print(
        f"{last.created} products created, {last.changed} changed, {last.unchanged} as before, "
        f"{last.refused_in_all} lines refused."
    )
    return last, left_over


async def _rehearse(settings: Settings, file: BinaryIO, form: Format) -> Progress:
    """Says what an import would do. A shop that is not there yet is not made."""
    last, units, refusals, changes = Progress(), 0, _Told("lines refused"), _Told("products")
    with TemporaryDirectory() as folder:
        there = settings.mysql_url is not None or settings.database("catalog").exists()
        address = settings.database_url("catalog") if there else f"sqlite:///{Path(folder) / 'catalog.db'}"
        catalog = Catalog(address, currency=settings.currency)
        try:
            with _Bar(file) as bar:
                async for last in import_products(catalog, file, form, minor_digits=_digits(settings), keep=False):
                    refusals.tell([_refusal(line) for line in last.refused])
                    changes.tell([_plan(one) for one in last.planned])
                    units += sum(quantity for _, quantity, _ in last.stock)
                    bar.show(last)
        finally:
            await catalog.close()
    refusals.end()
    changes.end()
    console.print(
        f"{last.created} products would be created, {last.changed} changed, {last.unchanged} are as before, "
        f"{last.refused_in_all} lines would be refused, {units} units received. Nothing was changed."
    )
    return last


def _refusal(line: RefusedLine) -> str:
    return f"line {line.line}: {line.sku} {line.reason}"


def _plan(one: Planned) -> str:
    return f"line {one.line}: {one.product} " + ("is new" if one.created else f"changes: {', '.join(one.changes)}")


class _Told:
    """Prints `SHOWN` lines of a sort, and in the end how many more there were."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = 0

    def tell(self, lines: list[str]) -> None:
        for line in lines[: max(0, SHOWN - self._count)]:
            console.print(line, style="yellow", markup=False)
        self._count += len(lines)

    def end(self) -> None:
        if self._count > SHOWN:
            console.print(f"... and {self._count - SHOWN} more {self._what}.", style="yellow")


class _Bar:
    """How much of a file has been read."""

    def __init__(self, file: BinaryIO) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console)
        self._file = file
        self._task = self._bar.add_task("0 rows", total=os.fstat(file.fileno()).st_size)

    def show(self, progress: Progress) -> None:
        self._bar.update(self._task, completed=self._file.tell(), description=f"{progress.rows} rows")

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


async def _export(settings: Settings, file: Path | None, form: Format) -> int:
    catalog = _opened(settings)
    digits = _digits(settings)
    try:
        if file is None:
            return await export_products(catalog, sys.stdout, form, minor_digits=digits)
        with file.open("w", encoding="utf-8", newline="") as opened:
            return await export_products(catalog, opened, form, minor_digits=digits)
    finally:
        await catalog.close()


def _digits(settings: Settings) -> int:
    return MINOR_DIGITS.get(settings.currency, 2)


def _opened(settings: Settings) -> Catalog:
    return Catalog(settings.database_url("catalog"), currency=settings.currency)


def _format(given: str | None, file: Path | None) -> Format:
    name = given or ("" if file is None else file.suffix.removeprefix("."))
    kind = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "": "csv" if file is None else ""}.get(name.lower(), "")
    if kind == "csv":
        return "csv"
    if kind == "jsonl":
        return "jsonl"
    console.print("Say what it is: --format csv or --format jsonl.", style="red")
    raise typer.Exit(2)
