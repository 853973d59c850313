"""`troupe reconcile`: Stripe's lists beside the shop's transactions."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from pipelines.sql.revisions import SchemaBehind
from serve.audit.findings import Findings
from serve.audit.report import show
from serve.cli.running import read_settings
from serve.gateway.clock import now_ms
from serve.opened import Opened
from serve.payments.gateway.base import GatewayRejected, GatewayTimeout, GatewayUnavailable
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.reconciling import Reconciliation
from serve.payments.transactions import TransactionStore
from serve.settings import Settings

console = Console(stderr=True, highlight=False, soft_wrap=True)


def reconcile(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = 30,
    data: Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")] = None,
    settled: Annotated[bool, typer.Option("--settled", help="Also differences of the last minutes count.")] = False,
) -> None:
    """Compare Stripe's intents, charges, refunds and disputes with the shop's transactions.

    It changes nothing. Ends with 1 on any difference.
    """
    settings = read_settings(data=data)
    if settings.stripe_secret_key is None:
        console.print("[red]TROUPE_STRIPE_SECRET_KEY is not set, so there is nothing to compare with.")
        raise typer.Exit(2)
    try:
        findings = asyncio.run(_reconciled(settings, days))
    except (GatewayUnavailable, GatewayTimeout, GatewayRejected, SchemaBehind) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
    except SQLAlchemyError as error:
        # A driver's text may have the address in it, and that a password.
        console.print(f"A database does not answer: {type(error).__name__}", style="red", markup=False)
        raise typer.Exit(2) from None
    show(findings, Console(), settled=settled)
    if not findings.clean(settled=settled):
        raise typer.Exit(1)


async def _reconciled(settings: Settings, days: int) -> Findings:
    assert settings.stripe_secret_key is not None
    async with Opened() as opened:
        calls = StripeCalls(settings.stripe_secret_key.get_secret_value(), base=settings.stripe_api_base)
        opened.closing(calls)
        store = opened.closing(TransactionStore(settings.database_url("payments")))
        return await Reconciliation(calls, store, now_ms()).run(days)
