"""The test gateway's book: what each reference does, keys, restarts."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.payments.gateway.base import IntentState, MethodDetails, RefundState
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.calls import (
    Account,
    Call,
    Cancel,
    Confirm,
    Create,
    Decide,
    Find,
    OpenPage,
    Page,
    Problem,
    Refund,
    Reply,
)
from serve.payments.gateway.tables import SCHEMA


class Bench:
    """A book on a file, and the time."""

    def __init__(self, path: Path) -> None:
        self.path = path / "gateway.db"
        self.now = 1_000_000
        self.book = self.open()

    def open(self) -> GatewayBook:
        return GatewayBook(self.path, now=lambda: self.now)

    def restart(self) -> None:
        self.book.close()
        self.book = self.open()

    def reply(self, call: Call) -> Reply:
        return self.book.carry_out([call])[0]

    def ask(self, call: Call) -> Any:
        return self.reply(call).result

    def intent(self, session: str = "s1", amount: int = 1999) -> IntentState:
        made = self.ask(Create(session, amount, "EUR"))
        assert isinstance(made, IntentState)
        return made

    def confirm(self, reference: str | None, key: str = "s1/attempt/1", method: str = "card") -> IntentState:
        made = self.ask(Confirm(self.intent().id, key, method, reference, "/back"))
        assert isinstance(made, IntentState)
        return made

    def found(self, session: str = "s1") -> IntentState:
        found = self.ask(Find(session))
        assert isinstance(found, IntentState)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.book.close()


class FullDisk:
    """A connection whose next commit fails, and leaves its transaction open."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._full = True

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self._full:
            self._full = False
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def test_a_commit_that_fails_leaves_the_way_free(bench: Bench) -> None:
    bench.book._db = FullDisk(bench.book._db)  # type: ignore[assignment]
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        bench.intent("s1")
    assert bench.ask(Find("s1")) is None
    assert bench.intent("s1").session == "s1"


def test_one_intent_a_session(bench: Bench) -> None:
    first = bench.intent()
    assert (first.status, first.amount, first.currency, first.captured) == ("requires_payment_method", 1999, "EUR", 0)
    assert bench.intent() == first
    assert bench.intent("s2").id != first.id
    other = bench.ask(Create("s1", 5, "EUR"))
    assert other == Problem("idempotency_key_reused", "The session has an intent for another amount.")
    assert bench.ask(Create("s3", 0, "EUR")).code == "amount_too_small"
    assert bench.ask(Find("s3")) is None


@pytest.mark.parametrize("reference", ["pm_card_visa", "pm_card_mastercard", "pm_wallet"])
def test_succeeds(bench: Bench, reference: str) -> None:
    paid = bench.confirm(reference)
    assert (paid.status, paid.captured, paid.attempt, paid.code) == ("succeeded", 1999, "s1/attempt/1", None)
    assert bench.book.next_due() is None


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_nobody_knows", "payment_method_unknown"),
        (None, "payment_method_missing"),
    ],
)
def test_declines(bench: Bench, reference: str | None, code: str) -> None:
    declined = bench.confirm(reference)
    assert (declined.status, declined.captured, declined.code) == ("requires_payment_method", 0, code)
    paid = bench.confirm("pm_card_visa", "s1/attempt/2")
    assert (paid.status, paid.captured, paid.code) == ("succeeded", 1999, None)


def test_the_same_key_gets_the_same_answer_also_after_a_restart(bench: Bench) -> None:
    declined = bench.confirm("pm_card_chargeDeclined")
    bench.confirm("pm_card_visa", "s1/attempt/2")
    bench.restart()
    assert bench.confirm("pm_card_visa", "s1/attempt/1") == declined
    assert bench.found().captured == 1999
    other = bench.intent("s2")
    reused = bench.ask(Confirm(other.id, "s1/attempt/1", "card", "pm_card_visa", ""))
    assert reused == Problem("idempotency_key_reused", "The key was used for another intent.")


def test_nothing_is_captured_twice(bench: Bench) -> None:
    bench.confirm("pm_card_visa")
    again = bench.confirm("pm_card_visa", "s1/attempt/2")
    assert (again.status, again.captured, again.attempt) == ("succeeded", 1999, "s1/attempt/1")
    intent = again.id
    assert bench.book.accounts() == [Account("s1", intent, "EUR", 1999, "succeeded", 1, 1999, 0)]


def test_the_answer_is_lost_once(bench: Bench) -> None:
    call = Confirm(bench.intent().id, "k", "card", "pm_timeout_after_charge", "")
    first, second = bench.reply(call), bench.reply(call)
    assert (first.lost, second.lost) == (True, False)
    assert second.result.status == "succeeded"
    assert bench.found().captured == 1999


def test_three_d_secure_is_approved_on_the_hosted_page(bench: Bench) -> None:
    waiting = bench.confirm("pm_card_authenticationRequired")
    assert (waiting.status, waiting.action_type) == ("requires_action", "three_d_secure")
    assert waiting.action_url == f"/test-gateway/pages/{waiting.id}/1"
    page = bench.ask(OpenPage(waiting.id, 1))
    assert page == Page(waiting.id, 1, 1999, "EUR", "three_d_secure", "/back", open=True, abandoned=False)
    assert bench.ask(Decide(waiting.id, 1, True)) == page
    paid = bench.found()
    assert (paid.status, paid.captured, paid.action_url) == ("succeeded", 1999, None)
    assert bench.ask(OpenPage(waiting.id, 1)).open is False
    assert bench.ask(Decide(waiting.id, 1, False)).open is False
    assert bench.found() == paid
    assert len(bench.book.take_webhooks()) == 1


def test_the_shopper_declines_at_the_bank(bench: Bench) -> None:
    waiting = bench.confirm("pm_bank_redirect", method="bank_redirect")
    bench.ask(Decide(waiting.id, 1, False))
    declined = bench.found()
    assert (declined.status, declined.code) == ("requires_payment_method", "redirect_declined")
    assert declined.action_url is None


def test_references_may_be_left_to_the_method(bench: Bench) -> None:
    assert bench.confirm(None, method="wallet").status == "succeeded"
    redirect = bench.ask(Confirm(bench.intent("s2").id, "k2", "bank_redirect", None, "/back"))
    assert redirect.status == "requires_action"


def test_an_abandoned_page_changes_nothing(bench: Bench) -> None:
    waiting = bench.confirm("pm_bank_redirect_abandoned")
    assert bench.ask(Decide(waiting.id, 1, True)).abandoned is True
    assert bench.found().status == "requires_action"
    assert bench.ask(Cancel(waiting.id)).status == "canceled"
    assert bench.ask(OpenPage(waiting.id, 1)).open is False


def test_the_next_attempt_replaces_one_that_waits(bench: Bench) -> None:
    waiting = bench.confirm("pm_bank_redirect")
    bench.confirm("pm_card_chargeDeclined", "s1/attempt/2")
    assert bench.ask(Decide(waiting.id, 1, True)).open is False
    assert bench.found().captured == 0


def test_there_are_no_pages_for_other_attempts(bench: Bench) -> None:
    declined = bench.confirm("pm_card_chargeDeclined")
    assert bench.ask(OpenPage(declined.id, 1)) is None
    assert bench.ask(OpenPage(declined.id, 2)) is None
    assert bench.ask(Decide("pi_none", 1, True)) is None


def test_processing_succeeds_when_its_time_has_come(bench: Bench) -> None:
    waiting = bench.confirm("pm_processing")
    assert (waiting.status, bench.book.next_due()) == ("processing", 1_001_500)
    assert bench.ask(Cancel(waiting.id)).status == "processing"
    assert bench.confirm("pm_card_visa", "s1/attempt/2").status == "processing"
    bench.now += 1_499
    bench.book.settle()
    assert bench.found().status == "processing"
    bench.now += 1
    bench.restart()
    paid = bench.found()
    assert (paid.status, paid.captured, paid.attempt) == ("succeeded", 1999, "s1/attempt/1")
    assert bench.ask(Cancel(waiting.id)).status == "succeeded"
    assert bench.confirm("pm_processing").status == "processing"


def test_a_cancelled_intent_takes_no_attempt(bench: Bench) -> None:
    intent = bench.intent()
    assert bench.ask(Cancel(intent.id)).status == "canceled"
    assert bench.confirm("pm_card_visa").status == "canceled"
    assert bench.ask(Cancel("pi_none")).code == "no_such_intent"
    assert bench.ask(Confirm("pi_none", "k", "card", "pm_card_visa", "")).code == "no_such_intent"


def test_refunds(bench: Bench) -> None:
    intent = bench.confirm("pm_card_visa").id
    assert bench.ask(Refund(intent, "r1", 1000)) == RefundState("r1", 1000, True)
    assert bench.ask(Refund(intent, "r1", 1000)) == RefundState("r1", 1000, True)
    assert bench.ask(Refund(intent, "r1", 999)).code == "idempotency_key_reused"
    assert bench.ask(Refund(intent, "r2", 1000)) == RefundState("r2", 1000, False, "amount_too_large")
    assert bench.ask(Refund(intent, "r3", 0)) == RefundState("r3", 0, False, "amount_too_small")
    assert bench.ask(Refund(intent, "r4", 999)) == RefundState("r4", 999, True)
    assert bench.found().refunded == 1999
    assert bench.ask(Refund("pi_none", "r", 1)).code == "no_such_intent"


def test_refunds_of_nothing_and_refunds_that_fail_first(bench: Bench) -> None:
    unpaid = bench.intent("s2").id
    assert bench.ask(Refund(unpaid, "r1", 1)) == RefundState("r1", 1, False, "charge_not_captured")
    paid = bench.confirm("pm_card_refundFail").id
    assert bench.ask(Refund(paid, "r1", 1999)) == RefundState("r1", 1999, False, "expired_or_canceled_card")
    assert bench.ask(Refund(paid, "r1", 1999)).ok is False
    assert bench.ask(Refund(paid, "r2", 1999)).ok is True


def test_webhooks_are_planned(bench: Bench) -> None:
    bench.confirm("pm_webhook_late")
    assert bench.book.take_webhooks() == []
    assert bench.book.next_due() == 1_003_000
    bench.now += 3_000
    [(number, body)] = bench.book.take_webhooks()
    bench.book.note_webhook(number, False)
    assert bench.book.next_due() == 1_004_000
    bench.now += 1_000
    bench.restart()
    assert bench.book.take_webhooks() == [(number, body)]
    bench.book.note_webhook(number, True)
    bench.book.note_webhook(number, True)
    assert bench.book.next_due() is None


def test_two_copies_and_none(bench: Bench) -> None:
    bench.confirm("pm_webhook_twice")
    silent = bench.ask(Confirm(bench.intent("s2").id, "k2", "card", "pm_webhook_never", ""))
    bench.now += 300
    bench.book.settle()
    bodies = [body for _, body in bench.book.take_webhooks()]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert silent.id.encode() not in bodies[0]
    assert bench.found("s2").status == "succeeded"


def test_an_undeliverable_webhook_is_given_up(bench: Bench) -> None:
    bench.confirm("pm_webhook_early")
    tries = 0
    while (due := bench.book.next_due()) is not None:
        bench.now = max(bench.now, due)
        bench.book.note_webhook(bench.book.take_webhooks()[0][0], False)
        tries += 1
    assert tries == 20


def test_the_early_webhook_overtakes_the_answer(bench: Bench) -> None:
    reply = bench.reply(Confirm(bench.intent().id, "k", "card", "pm_webhook_early", ""))
    assert (reply.hold_ms, reply.result.status, len(bench.book.take_webhooks())) == (300, "succeeded", 1)


def test_a_batch_is_carried_out_call_by_call(bench: Bench) -> None:
    replies = bench.book.carry_out([Create("a", 1, "EUR"), Create("a", 2, "EUR"), Create("b", 3, "EUR")])
    assert [type(reply.result) for reply in replies] == [IntentState, Problem, IntentState]
    assert [account.session for account in bench.book.accounts()] == ["a", "b"]
    assert [account.session for account in bench.book.accounts(after="a")] == ["b"]


def test_a_call_that_fails_leaves_nothing_and_harms_no_other(bench: Bench) -> None:
    intent = bench.intent().id
    with sqlite3.connect(bench.path) as other:
        other.execute("DROP TABLE captures")
    other.close()
    broken, fine = bench.book.carry_out([Confirm(intent, "k", "card", "pm_card_visa", ""), Refund("pi_none", "r", 1)])
    assert (broken.failed, fine.failed) == (True, True)
    bench.restart()
    assert bench.confirm("pm_card_visa", "k").captured == 1999


@pytest.mark.parametrize(
    ("method", "reference", "card"),
    [
        ("card", "pm_card_visa", MethodDetails("visa", "4242")),
        ("card", "pm_card_mastercard", MethodDetails("mastercard", "4444")),
        ("card", "pm_card_chargeDeclined", MethodDetails("visa", "0002")),
        ("card", "pm_nobody_knows", None),
        ("wallet", "pm_wallet", None),
        ("bank_redirect", "pm_bank_redirect", None),
    ],
)
def test_a_card_is_told_by_its_brand_and_last_digits(
    bench: Bench, method: str, reference: str, card: MethodDetails | None
) -> None:
    assert bench.confirm(reference, method=method).method_details == card
    assert bench.found().method_details == card


def test_a_file_from_before_there_was_manual_capture(tmp_path: Path) -> None:
    before = SCHEMA.replace(", capture_method TEXT NOT NULL DEFAULT 'automatic'", "")
    assert before != SCHEMA
    database = sqlite3.connect(tmp_path / "gateway.db")
    database.executescript(before)
    database.execute(
        "INSERT INTO intents (id, session, amount, currency, status, created_at)"
        " VALUES ('pi_old', 's1', 1999, 'EUR', 'requires_payment_method', 1)"
    )
    database.commit()
    database.close()
    bench = Bench(tmp_path)
    bench.restart()
    assert bench.confirm("pm_card_visa").status == "succeeded"
    bench.book.close()
