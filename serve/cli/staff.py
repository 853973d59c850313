"""`troupe staff`: accounts with rights over the shop."""

import asyncio
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serve.cli.running import read_settings
from serve.gateway.passwords import Passwords
from serve.gateway.problems import Problem
from serve.settings import Settings
from serve.users.accounts import Accounts
from serve.users.store import open_engine

app = typer.Typer(no_args_is_help=True, help="Accounts with rights over the shop.")
console = Console(soft_wrap=True)

Email = Annotated[str, typer.Argument(help="The account's email address.")]
Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]


@app.command("add")
def add(
    email: Email,
    name: Annotated[str, typer.Option(help="Their name.")] = "Staff",
    password: Annotated[str, typer.Option(help="Unset: one is made and shown once.", envvar="TROUPE_PASSWORD")] = "",
    data: Data = None,
) -> None:
    """Make a staff account, or give an existing account the staff role."""
    settings = read_settings(data=data)
    made = password or secrets.token_urlsafe(12)
    try:
        asyncio.run(_add(settings, email, made, name))
    except Problem as problem:
        console.print(f"[red]{problem.detail}")
        raise typer.Exit(1) from None
    console.print(f"{email} is staff." + ("" if password else f" If the account is new, its password is: {made}"))


async def _add(settings: Settings, email: str, password: str, name: str) -> None:
    engine = open_engine(settings.database_url("users"))
    passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)
    accounts = Accounts(engine, passwords)
    try:
        await accounts.create_staff(email, password, name)
    except Problem as problem:
        if problem.code != "email_taken":
            raise
        await accounts.grant(email, ("staff",))
    finally:
        await asyncio.to_thread(engine.dispose)
