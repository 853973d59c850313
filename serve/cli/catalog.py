"""`troupe catalog import` and `troupe catalog export`: products from files and to files.

Products go straight into the data folder's catalogue, with the shop running or not; units go to the running shop over
HTTP, as any receipt of goods does.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
import typer
from rich.console import Console

from serve.catalog.importing import Progress, ReceiveStock, export_products, import_products, receive
from serve.catalog.rows import FileRefused, Format
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
) -> None:
    """Create or replace products. Lines that cannot be taken are listed; all others are."""
    settings, kind = read_settings(data=data), _format(form, file)
    if stock:
        access.needs_running(settings)
    try:
        with file.open("rb") as opened:
            last, left_over = asyncio.run(_import(settings, opened, kind, stock))
    except FileRefused as error:
        console.print(f"{file}: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    except (httpx.HTTPError, StockNotReceived) as error:
        console.print(f"Units could not be received: {error}", style="red", markup=False)
        console.print("The products are kept. Run the same import again: no unit is received twice.")
        raise typer.Exit(1) from None
    if left_over:
        console.print(f"{left_over} products have units in the file that were not received (--no-stock).")
    if last.refused_in_all:
        raise typer.Exit(3)


def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default the standard output.")] = None,
    form: Form = None,
    data: Data = None,
) -> None:
    """Write all products, so that importing the file again changes nothing. Units are not in it."""
    settings, kind = read_settings(data=data), _format(form, file)
    if not settings.database("catalog").exists():
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
    last, left_over, shown = Progress(0, 0, 0, 0, 0, [], []), 0, 0
    async with AsyncExitStack() as stack:
        catalog = _opened(settings)
        stack.push_async_callback(catalog.close)
        client = await stack.enter_async_context(access.client(settings)) if with_stock else None
        digits = MINOR_DIGITS.get(settings.currency, 2)
        async for last in import_products(catalog, file, form, minor_digits=digits):
            for line in last.refused[: max(0, SHOWN - shown)]:
                console.print(f"line {line.line}: {line.sku} {line.reason}", style="yellow", markup=False)
            shown += len(last.refused)
            if client is not None:
                await receive(last.stock, receives_stock(client))
            else:
                left_over += len(last.stock)
            console.print(f"{last.rows} rows", style="dim")
    if shown > SHOWN:
        console.print(f"... and {shown - SHOWN} more lines refused.", style="yellow")
    console.print(
        f"{last.created} products created, {last.changed} changed, {last.unchanged} as before, "
        f"{last.refused_in_all} lines refused."
    )
    return last, left_over


async def _export(settings: Settings, file: Path | None, form: Format) -> int:
    catalog = _opened(settings)
    digits = MINOR_DIGITS.get(settings.currency, 2)
    try:
        if file is None:
            return await export_products(catalog, sys.stdout, form, minor_digits=digits)
        with file.open("w", encoding="utf-8", newline="") as opened:
            return await export_products(catalog, opened, form, minor_digits=digits)
    finally:
        await catalog.close()


def _opened(settings: Settings) -> Catalog:
    return Catalog(f"sqlite:///{settings.database('catalog')}", currency=settings.currency)


def _format(given: str | None, file: Path | None) -> Format:
    name = given or ("" if file is None else file.suffix.removeprefix("."))
    kind = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "": "csv" if file is None else ""}.get(name.lower(), "")
    if kind == "csv":
        return "csv"
    if kind == "jsonl":
        return "jsonl"
    console.print("Say what it is: --format csv or --format jsonl.", style="red")
    raise typer.Exit(2)
