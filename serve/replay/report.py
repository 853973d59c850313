"""Prints what came of a replay."""

from rich.console import Console
from rich.table import Table

from serve.replay.comparing import pounds
from serve.replay.replaying import Replayed

SHOWN = 50
"""Differences and refusals of each sort that are printed one by one."""


def rows_of(replayed: Replayed) -> list[tuple[str, str]]:
    """The table, as names and values."""
    book, comparison = replayed.book, replayed.comparison
    orders = comparison.replayed / replayed.selling_seconds if replayed.selling_seconds > 0 else 0.0
    return [
        ("invoice lines", f"{book.lines:,}"),
        ("sales", f"{len(book.sales):,}"),
        ("replayed", f"{comparison.replayed:,}"),
        ("of these by an earlier replay", f"{comparison.before:,}"),
        ("equal to the penny", f"{comparison.equal:,}"),
        ("different", f"{len(comparison.different):,}"),
        ("refused", f"{comparison.refused.total():,}"),
        *((f"  {code}", f"{count:,}") for code, count in comparison.refused.most_common()),
        ("sold in all", f"{pounds(sum(order.total for order in comparison.orders.values()))} GBP"),
        ("lines that were not sales", f"{book.left_out.total():,}"),
        *((f"  {reason}", f"{count:,}") for reason, count in book.left_out.most_common()),
        ("returns", f"{len(book.returns):,}"),
        ("refunds", f"{comparison.refunds:,}"),
        ("returned lines without their sale", f"{len(replayed.unmatched):,}"),
        ("products", f"{replayed.products:,}"),
        ("requests", f"{replayed.requests:,}"),
        ("  of these repeated", f"{replayed.repeated:,}"),
        ("seconds", f"{replayed.seconds:.1f}"),
        ("orders/s while selling", f"{orders:.1f}"),
    ]


def show(replayed: Replayed, console: Console) -> None:
    """The table, and every difference and refusal up to a number."""
    table = Table(title="Replay", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    for row in rows_of(replayed):
        table.add_row(*row)
    console.print(table)
    comparison = replayed.comparison
    sentences = [f"Invoice {found.number}: order {found.order_id} {found.what}." for found in comparison.different]
    refusals = [f"Invoice {number} was refused: {why}" for number, why in comparison.refused_because]
    for some in (sentences, refusals):
        for sentence in some[:SHOWN]:
            console.print(sentence, style="red", markup=False, highlight=False)
        if len(some) > SHOWN:
            console.print(f"... and {len(some) - SHOWN} more", style="red")
