"""Payment transactions: a row for everything that moved money or tried to, and the same rows whenever they are made."""

import asyncio
import csv
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actors import payment
from pipelines.keep_transactions import Event, Session, Transaction, followed, keep_transactions
from pipelines.log.base import Happened
from serve.gateway.front import Front
from serve.payments.admin_api import admin_payment_routes
from serve.payments.listing import csv_of
from serve.payments.transactions import Place, TransactionStore
from tests.databases import Databases
from tests.unit.callers import PlainTokens, bearer
from tests.unit.flow_world import MemoryLog
from tests.unit.test_flows import run

STAFF = bearer("staff:bob")
EXPECTED = [
    ("s1", "attempt", 1, 500, "card", "", "", ""),
    ("s1", "decline", 1, 500, "card", "pi_1", "card_declined", '{"no":1}'),
    ("s1", "attempt", 2, 500, "card", "pi_1", "", ""),
    ("s2", "capture", 0, 700, "cash_on_delivery", "", "", ""),
    ("s1", "action_required", 2, 500, "card", "pi_1", "three_d_secure", '{"ask":1}'),
    ("s1", "webhook", 2, 0, "card", "pi_1", "evt_1 payment_intent.succeeded", ""),
    ("s1", "capture", 2, 500, "card", "pi_1", "visa 4242", '{"yes":1}'),
    ("s1", "refund_failed", 2, 200, "card", "pi_1", "r1 expired", '{"ok":false}'),
    ("s1", "refund", 2, 100, "card", "pi_1", "r2", '{"ok":true}'),
    ("s1", "dispute", 2, 400, "card", "pi_1", "du_1 lost fraudulent", ""),
    ("s3", "attempt", 1, 900, "wallet", "", "", ""),
    ("s3", "cancellation", 1, 900, "wallet", "", "deadline", ""),
]


def history() -> MemoryLog:
    """One payment that goes through everything, one in cash, one that is called off."""
    log = MemoryLog()
    add = log.append
    opened = payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1")
    add("payment", "s1", 1, opened, payment.AttemptStarted(1, "card", "pm_1"), at=1)
    add("payment", "s1", 2, payment.IntentMade("pi_1"), payment.PaymentFailed("card_declined", '{"no":1}'), at=2)
    add("payment", "s1", 3, payment.NextMethodSet("card", "pm_2", 1), payment.AttemptStarted(2, "card", "pm_2"), at=3)
    add("payment", "s2", 1, payment.CashRecorded(700, "EUR", "u2"), at=4)
    add("order", "s1", 1, payment.PaymentCaptured(1, "EUR"), at=4)
    add("payment", "s1", 4, payment.PaymentActionRequired("/secret", "three_d_secure", '{"ask":1}'), at=5)
    webhook = payment.WebhookReceived("evt_1", "payment_intent.succeeded", "pi_1")
    add("payment", "s1", 5, webhook, payment.LookStarted(1, 0), at=6)
    captured = payment.PaymentCaptured(500, "EUR", "visa", "4242", '{"yes":1}')
    add("payment", "s1", 6, payment.LookEnded(1), captured, at=7)
    add("payment", "s1", 7, payment.RefundStarted("r1", 200, False, 1), at=8)
    add("payment", "s1", 8, payment.RefundFailed("r1", "expired", True, '{"ok":false}'), at=9)
    add("payment", "s1", 9, payment.RefundStarted("r2", 100, False, 1), at=10)
    add("payment", "s1", 10, payment.PaymentRefunded("r2", 100, "EUR", '{"ok":true}'), at=11)
    add("payment", "s1", 11, payment.DisputeNoted("du_1", 400, "EUR", "fraudulent", "lost"), at=11)
    called_off = payment.SessionOpened(900, "EUR", "wallet", "", 9_000, "u3")
    add("payment", "s3", 1, called_off, payment.AttemptStarted(1, "wallet", ""), at=12)
    add("payment", "s3", 2, payment.PaymentClosed("deadline"), at=13)
    return log


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[TransactionStore]:
    made = TransactionStore(databases("payments"))
    yield made
    await made.close()


async def everything(store: TransactionStore) -> list[Transaction]:
    return await store.page(limit=100)


def shown(row: Transaction) -> tuple[Any, ...]:
    return row.session, row.kind, row.attempt, row.amount, row.method, row.reference, row.detail, row.raw


async def test_a_row_for_each_thing_that_happened(store: TransactionStore, tmp_path: Path) -> None:
    log = history()
    assert await run(keep_transactions(store), log, tmp_path) == []
    rows = await everything(store)
    assert [shown(row) for row in rows] == EXPECTED
    assert {row.currency for row in rows} == {"EUR"}
    assert [row.at for row in rows] == [1, 2, 3, 4, 5, 6, 7, 9, 11, 11, 12, 13]
    assert [row.event_id for row in rows[:2]] == ["payment/s1/1/1", "payment/s1/2/1"]
    assert not any("/secret" in cell for row in rows for cell in map(str, row))


async def test_made_again_from_the_log_they_are_equal_row_for_row(
    store: TransactionStore, databases: Databases, tmp_path: Path
) -> None:
    log = history()
    (tmp_path / "a").mkdir()
    await run(keep_transactions(store), log, tmp_path / "a")
    (tmp_path / "b").mkdir()
    await run(keep_transactions(store), log, tmp_path / "b")
    fresh = TransactionStore(databases("payments", "fresh"))
    (tmp_path / "c").mkdir()
    await run(keep_transactions(fresh), log, tmp_path / "c")
    assert await everything(fresh) == await everything(store)
    assert len(await everything(fresh)) == len(EXPECTED)
    await fresh.close()


async def test_it_goes_on_where_it_was_after_each_decision(store: TransactionStore, tmp_path: Path) -> None:
    log, whole = MemoryLog(), history()
    for position in sorted({happened.position for happened in whole.events}):
        log.events += [happened for happened in whole.events if happened.position == position]
        await run(keep_transactions(store), log, tmp_path)
    assert [shown(row) for row in await everything(store)] == EXPECTED


async def test_what_is_told_at_once_is_kept_as_one_by_one(store: TransactionStore) -> None:
    opened = payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1")
    told: list[tuple[int, Event]] = [
        (0, opened),
        (1, payment.AttemptStarted(1, "card", "pm_1")),
        (1, payment.AttemptStarted(1, "card", "pm_1")),
        (2, payment.PaymentCaptured(500, "EUR")),
    ]
    events = [(Happened(n, "payment", f"s{s}", 1, n, 1, b""), event) for n, event in told for s in range(3)]
    # One that can never be kept: its time is beyond what the column holds.
    await store.keep(Happened(1, "payment", "s0", 0, 0, 1, b""), opened)
    beyond = Happened(1, "payment", "bad", 1, 0, 2**70, b"")
    outcomes = await asyncio.gather(
        *(store.keep(*one) for one in events),
        store.keep(beyond, payment.AttemptStarted(1, "card", "pm_1")),
        return_exceptions=True,
    )
    assert [outcome for outcome in outcomes[:-1] if outcome is not None] == []
    assert isinstance(outcomes[-1], Exception)
    kinds = [(row.session, row.kind, row.amount) for row in await everything(store)]
    assert sorted(kinds) == [(f"s{s}", kind, 500) for s in range(3) for kind in ("attempt", "capture")]


def test_an_old_capture_has_no_card_and_no_answer() -> None:
    happened = Happened(7, "payment", "s1", 3, 0, 9, b"")
    after, row = followed(Session(2, 0, 500, "EUR", "card", "pi", 1), happened, payment.PaymentCaptured(500, "EUR"))
    assert row == Transaction("payment/s1/3/0", 3, 0, "s1", "capture", 1, 500, "EUR", "card", "pi", "", 9, "")
    assert (after.version, after.number) == (3, 0)


@pytest.fixture
async def http(store: TransactionStore, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await run(keep_transactions(store), history(), tmp_path)
    front = Front(FastAPI(), [admin_payment_routes(store)], tokens=PlainTokens(), metrics=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as client:
        yield client


async def test_staff_page_through_them(http: httpx.AsyncClient) -> None:
    kinds: list[str] = []
    cursor = ""
    for _ in range(3):
        answer = await http.get(f"/api/admin/payments/transactions?limit=4{cursor}", headers=STAFF)
        kinds += [item["kind"] for item in answer.json()["items"]]
        cursor = f"&cursor={answer.json()['next']}"
    assert answer.json()["next"] is None
    assert kinds == [row[1] for row in EXPECTED]
    some = await http.get("/api/admin/payments/transactions?from=4&to=7", headers=STAFF)
    assert [item["at"] for item in some.json()["items"]] == [4, 5, 6]
    one = await http.get("/api/admin/payments/s2/transactions", headers=STAFF)
    assert one.json() == {
        "items": [
            {
                "event_id": "payment/s2/1/0",
                "session": "s2",
                "kind": "capture",
                "attempt": 0,
                "amount": 700,
                "currency": "EUR",
                "method": "cash_on_delivery",
                "reference": "",
                "detail": "",
                "at": 4,
                "raw": "",
            }
        ],
        "next": None,
    }
    assert (await http.get("/api/admin/payments/none/transactions", headers=STAFF)).json()["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("transactions?cursor=x", 400, "bad_cursor"),
        ("s1/transactions?cursor=1.", 400, "bad_cursor"),
        ("transactions?from=x", 422, "invalid_request"),
        ("transactions.csv?to=-1", 422, "invalid_request"),
    ],
)
async def test_bad_questions(http: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await http.get(f"/api/admin/payments/{path}", headers=STAFF)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("path", ["transactions", "transactions.csv", "s1/transactions"])
async def test_they_are_for_staff(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(f"/api/admin/payments/{path}")).status_code == 401
    assert (await http.get(f"/api/admin/payments/{path}", headers=bearer("user:ada"))).status_code == 403


async def test_as_csv(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/admin/payments/transactions.csv?from=5&to=7", headers=STAFF)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    first, second = csv.DictReader(io.StringIO(answer.text))
    assert (first["kind"], first["detail"], first["raw"]) == ("action_required", "three_d_secure", '{"ask":1}')
    assert (second["kind"], second["at"], second["reference"]) == ("webhook", "6", "pi_1")


async def test_csv_is_streamed_a_page_at_a_time(store: TransactionStore, tmp_path: Path) -> None:
    await run(keep_transactions(store), history(), tmp_path)
    pieces = [piece async for piece in csv_of(store, None, None, page=2)]
    assert [len(piece.splitlines()) for piece in pieces] == [1, 2, 2, 2, 2, 2, 2]
    whole = list(csv.reader(io.StringIO(b"".join(pieces).decode())))
    assert [line[2] for line in whole[1:]] == [row[1] for row in EXPECTED]


async def test_no_cell_is_a_formula(store: TransactionStore) -> None:
    opened = payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1")
    await store.keep(Happened(1, "payment", "s1", 1, 0, 1, b""), opened)
    await store.keep(Happened(2, "payment", "s1", 2, 0, 1, b""), payment.PaymentFailed("=1+1"))
    pieces = [piece async for piece in csv_of(store, None, None)]
    assert b",'=1+1," in pieces[1]
    assert await store.page(after=Place(1, "s1", 2, 0), limit=1) == []


async def test_a_database_from_before_rows_had_versions_keeps_its_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    store = TransactionStore(url)
    opened = payment.SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1")
    await store.keep(Happened(70, "payment", "s1", 1, 0, 1, b""), opened)
    await store.keep(Happened(71, "payment", "s1", 2, 0, 1, b""), payment.PaymentFailed("declined"))
    before = await everything(store)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "payments.db")) as database:
        for index in ("transactions_by_session", "transactions_by_time"):
            database.execute(f"DROP INDEX {index}")
        database.execute("ALTER TABLE payment_transactions RENAME COLUMN version TO position")
        database.execute("UPDATE payment_transactions SET position = 69 + position")
        database.execute("CREATE INDEX transactions_by_place ON payment_transactions (position, number)")
        database.execute("DROP TABLE alembic_version")
        database.commit()
    again = TransactionStore(url)
    assert await everything(again) == before
    await again.close()
