"""The staff's routes of the payment service: its transactions, as pages and as CSV."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pipelines.keep_transactions import Transaction
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem, declare
from serve.payments.listing import csv_of
from serve.payments.transactions import Place, TransactionStore, place_of

_PAGE = {
    "items": [
        {
            "event_id": "payment/0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10/2/1",
            "session": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
            "kind": "capture",
            "attempt": 1,
            "amount": 3390,
            "currency": "GBP",
            "method": "card",
            "reference": "pi_5b1e",
            "detail": "visa 4242",
            "at": 1764000000000,
            "raw": '{"id":"pi_5b1e","status":"succeeded","captured":3390}',
        }
    ],
    "next": None,
}

declare("bad_cursor", 400, "The cursor is not of this list")

Time = Annotated[int, Meta(ge=0, le=2**53, description="UTC, milliseconds")]


class TransactionsQuery(msgspec.Struct, frozen=True):
    since: Time | None = msgspec.field(default=None, name="from")
    until: Time | None = msgspec.field(default=None, name="to")
    cursor: Annotated[str, Meta(max_length=60, description="`next` of the page before")] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class SessionQuery(msgspec.Struct, frozen=True):
    cursor: Annotated[str, Meta(max_length=60, description="`next` of the page before")] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class CsvQuery(msgspec.Struct, frozen=True):
    since: Time | None = msgspec.field(default=None, name="from")
    until: Time | None = msgspec.field(default=None, name="to")


class TransactionBody(msgspec.Struct, frozen=True):
    """`kind`: attempt, action_required, authorisation, capture, decline, refund, refund_failed, refund_reversed,
    cancellation, dispute or webhook. What moved: captures, less refunds, plus those that were reversed.

    `amount` in minor units, 0 for a webhook. `reference`: the gateway's. `raw`: its answer, redacted, if it gave one.
    """

    event_id: str
    session: str
    kind: str
    attempt: int
    amount: int
    currency: str
    method: str
    reference: str
    detail: str
    at: int
    raw: str


class TransactionPage(msgspec.Struct, frozen=True):
    """In the order in which they happened. `next` is the cursor of the next page, null on the last one."""

    items: list[TransactionBody]
    next: str | None


def admin_payment_routes(store: TransactionStore) -> Routes:
    routes = Routes(tag="staff: payments", refuses_cards=True, examples={TransactionPage: _PAGE})

    @routes.get(
        "/api/admin/payments/{id}/transactions",
        summary="What happened to one payment",
        access="staff",
        query=SessionQuery,
        answers={200: TransactionPage},
        problems=("bad_cursor",),
    )
    async def of_one(request: Request) -> Response:
        query: SessionQuery = request.query
        after = _place_of(query.cursor)
        return json(
            _page(await store.page(session=request.params["id"], after=after, limit=query.limit + 1), query.limit)
        )

    @routes.get(
        "/api/admin/payments/transactions",
        summary="What happened to all payments, in the order in which it happened",
        description="`from` and before `to` bound the time. A transaction may take a moment to be listed.",
        access="staff",
        query=TransactionsQuery,
        answers={200: TransactionPage},
        problems=("bad_cursor",),
    )
    async def of_all(request: Request) -> Response:
        query: TransactionsQuery = request.query
        rows = await store.page(
            since=query.since, until=query.until, after=_place_of(query.cursor), limit=query.limit + 1
        )
        return json(_page(rows, query.limit))

    @routes.get(
        "/api/admin/payments/transactions.csv",
        summary="The same as CSV, whole",
        access="staff",
        query=CsvQuery,
        answers={200: None},
    )
    async def as_csv(request: Request) -> Response:
        query: CsvQuery = request.query
        headers = [
            (b"content-type", b"text/csv; charset=utf-8; header=present"),
            (b"content-disposition", b'attachment; filename="transactions.csv"'),
            (b"cache-control", b"no-store"),
        ]
        return Response(200, b"", headers, csv_of(store, query.since, query.until))

    return routes


def _page(rows: list[Transaction], limit: int) -> TransactionPage:
    items = [
        TransactionBody(*(getattr(row, name) for name in TransactionBody.__struct_fields__)) for row in rows[:limit]
    ]
    last = rows[limit - 1] if len(rows) > limit else None
    return TransactionPage(items, None if last is None else ".".join(map(str, place_of(last))))


def _place_of(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    at, *session, version, number = cursor.split(".") if cursor.count(".") > 2 else ("",) * 4
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (at, version, number)):
        raise Problem("bad_cursor", "This is not the cursor of a list of transactions.")
    return Place(int(at), ".".join(session), int(version), int(number))
