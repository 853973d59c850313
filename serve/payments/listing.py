"""All transactions as CSV, read and sent piece by piece."""

import csv
import io
from collections.abc import AsyncIterator

from pipelines.keep_transactions import Transaction
from serve.payments.transactions import Place, TransactionStore, place_of

PAGE_OF_CSV = 500
COLUMNS = ("at", "session", "kind", "attempt", "amount", "currency", "method", "reference", "detail", "raw", "event_id")


async def csv_of(
    store: TransactionStore, since: int | None, until: int | None, page: int = PAGE_OF_CSV
) -> AsyncIterator[bytes]:
    """A header and a line for each transaction, `page` at a time."""
    yield _lines([COLUMNS])
    after: Place | None = None
    while True:
        rows = await store.page(since=since, until=until, after=after, limit=page)
        if rows:
            yield _lines([_cells(row) for row in rows])
        if len(rows) < page:
            return
        after = place_of(rows[-1])


def _lines(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(row: Transaction) -> tuple[object, ...]:
    return tuple(_harmless(getattr(row, name)) for name in COLUMNS)


def _harmless(cell: object) -> object:
    """A spreadsheet would carry out a text that begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
