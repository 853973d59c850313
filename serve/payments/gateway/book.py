"""The test gateway's own truth: intents, attempts, captures and refunds in a SQLite file that the shop never reads.

A batch of calls is one transaction, so an answer given is an answer kept. Several processes may share the file.
"""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from serve.gateway.clock import now_ms
from serve.payments.gateway.base import IntentState, RefundState
from serve.payments.gateway.calls import (
    Account,
    Call,
    Cancel,
    Capture,
    Confirm,
    Create,
    Decide,
    Find,
    OpenPage,
    Page,
    Problem,
    Refund,
    Reply,
    Result,
)
from serve.payments.gateway.outcomes import DECLINED_BY_SHOPPER, SET_ASIDE, Behaviour, behaviour, card
from serve.payments.gateway.outgoing import Outgoing
from serve.payments.gateway.tables import MANUAL, READ, SCHEMA, Transaction


class GatewayBook:
    """One connection, used by one thread at a time. `pages` is the address under which the hosted pages stand."""

    def __init__(self, path: str | Path, *, pages: str = "/test-gateway", now: Callable[[], int] = now_ms) -> None:
        self._pages = pages.rstrip("/")
        self._now = now
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + SCHEMA)
        if "capture_method" not in [column[1] for column in self._db.execute("PRAGMA table_info(intents)")]:
            self._db.execute(MANUAL)
        self._outgoing = Outgoing(self._db)

    def carry_out(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out all calls in one transaction, each by itself: one that fails leaves nothing of its own behind.

        Raises sqlite3.Error if the transaction could not be committed; then none was carried out.
        """
        with self._lock, Transaction(self._db):
            return [self._one(call) for call in calls]

    def settle(self) -> None:
        """Let every charge succeed whose time has come, so that its webhook goes out unasked."""
        with self._lock, Transaction(self._db):
            due = "SELECT id FROM intents WHERE settles_at <= ?"
            for (intent,) in self._db.execute(due, (self._now(),)).fetchall():
                self._intent(intent)

    def take_webhooks(self, limit: int = 64) -> list[tuple[int, bytes]]:
        """Webhooks that are due, each as (number, body)."""
        with self._lock:
            return self._outgoing.due(self._now(), limit)

    def note_webhook(self, number: int, delivered: bool) -> None:
        """Strike off what was delivered; try again later what was not, and give up after a day's tries."""
        with self._lock, Transaction(self._db):
            self._outgoing.note(number, delivered, self._now())

    def next_due(self) -> int | None:
        """When (UTC, ms) a charge settles or a webhook is due; None if nothing is planned."""
        with self._lock:
            (settles,) = self._db.execute("SELECT min(settles_at) FROM intents WHERE settles_at IS NOT NULL").fetchone()
            times = [at for at in (settles, self._outgoing.next_due()) if at is not None]
            return min(times, default=None)

    def accounts(self, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts in order of session, for the audit; the next page starts after the last one's session."""
        query = """
            SELECT session, id, currency, amount, status,
                (SELECT count(*) FROM captures c WHERE c.intent = i.id),
                coalesce((SELECT sum(amount) FROM captures c WHERE c.intent = i.id), 0),
                coalesce((SELECT sum(amount) FROM refunds r WHERE r.intent = i.id AND r.ok), 0)
            FROM intents i WHERE session > ? ORDER BY session LIMIT ?"""
        with self._lock:
            return [Account(*row) for row in self._db.execute(query, (after, limit))]

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _one(self, call: Call) -> Reply:
        self._db.execute("SAVEPOINT one")
        try:
            reply = self._answer(call)
        except sqlite3.Error:
            self._db.execute("ROLLBACK TO one")
            reply = Reply(failed=True)
        self._db.execute("RELEASE one")
        return reply

    def _answer(self, call: Call) -> Reply:
        match call:
            case Create():
                return self._create_and_confirm(call)
            case Confirm():
                return self._confirm(call)
            case Find():
                return Reply(self._read("session = ?", call.session))
            case Cancel():
                return Reply(self._cancel(call))
            case Capture():
                return Reply(self._take(call))
            case Refund():
                return Reply(self._refund(call))
            case OpenPage():
                return Reply(self._page(call.intent, call.number))
            case Decide():
                return Reply(self._decide(call))

    def _create_and_confirm(self, call: Create) -> Reply:
        made = self._create(call)
        if call.attempt is None or not isinstance(made, IntentState):
            return Reply(made)
        one = call.attempt
        return self._confirm(Confirm(made.id, one.key, one.method, one.reference, one.return_url))

    def _create(self, call: Create) -> Result:
        if call.amount <= 0:
            return Problem("amount_too_small", "An intent is for at least one minor unit.")
        self._db.execute(
            "INSERT INTO intents (id, session, amount, currency, status, created_at, capture_method)"
            " VALUES (?, ?, ?, ?, 'requires_payment_method', ?, ?) ON CONFLICT (session) DO NOTHING",
            ("pi_" + secrets.token_hex(12), call.session, call.amount, call.currency, self._now(), call.capture_method),
        )
        found = self._read("session = ?", call.session)
        if found is not None and (found.amount, found.currency) != (call.amount, call.currency):
            return Problem("idempotency_key_reused", "The session has an intent for another amount.")
        return found

    def _confirm(self, call: Confirm) -> Reply:
        known = self._db.execute("SELECT intent, answer FROM attempts WHERE key = ?", (call.key,)).fetchone()
        if known is not None:
            if known[0] != call.intent:
                return Reply(Problem("idempotency_key_reused", "The key was used for another intent."))
            return Reply(msgspec.msgpack.decode(known[1], type=IntentState))
        before = self._intent(call.intent)
        if before is None:
            return Reply(_no_such_intent(call.intent))
        if before.status in ("processing", "requires_capture", "succeeded", "canceled"):
            return Reply(before)
        how = behaviour(call.method, call.reference)
        query = "SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE intent = ?"
        (number,) = self._db.execute(query, (call.intent,)).fetchone()
        self._db.execute(
            "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, x'', ?)",
            (call.key, call.intent, number, call.method, call.reference, call.return_url, self._now()),
        )
        after = self._start(before, call.key, number, how)
        answer = msgspec.msgpack.encode(after)
        self._db.execute("UPDATE attempts SET answer = ? WHERE key = ?", (answer, call.key))
        return Reply(after, lost=how.lost, hold_ms=how.hold_ms)

    def _start(self, intent: IntentState, key: str, number: int, how: Behaviour) -> IntentState:
        """Move the intent the way its behaviour says; the last attempt's code and page are gone from here on."""
        if how.result == "succeed":
            return self._succeed(intent.id, key, how, self._now())
        url = f"{self._pages}/pages/{intent.id}/{number}" if how.result == "act" else None
        settles_at = self._now() + how.settles_ms if how.result == "settle" else None
        status = {"decline": "requires_payment_method", "act": "requires_action", "settle": "processing"}[how.result]
        self._db.execute(
            "UPDATE intents SET status = ?, attempt = ?, code = ?, action_type = ?, action_url = ?, settles_at = ?"
            " WHERE id = ?",
            (status, key, how.code, how.action, url, settles_at, intent.id),
        )
        return self._present(intent.id)

    def _succeed(self, intent: str, key: str, how: Behaviour, ended_at: int) -> IntentState:
        """The money is taken, or set aside where that was asked for and the method can wait."""
        query = "SELECT i.capture_method, a.method FROM intents i, attempts a WHERE i.id = ? AND a.key = ?"
        capture_method, method = self._db.execute(query, (intent, key)).fetchone()
        if capture_method == "automatic" or method not in SET_ASIDE:
            return self._capture(intent, key, how, ended_at)
        self._db.execute(
            "UPDATE intents SET status = 'requires_capture', attempt = ?, code = NULL, action_type = NULL,"
            " action_url = NULL, settles_at = NULL WHERE id = ?",
            (key, intent),
        )
        after = self._present(intent)
        event = "payment_intent.amount_capturable_updated"
        self._outgoing.add(event, after, how.webhooks, self._now(), how.webhook_after_ms)
        return after

    def _take(self, call: Capture) -> Result:
        before = self._intent(call.intent)
        if before is None:
            return _no_such_intent(call.intent)
        if before.status != "requires_capture":
            return before
        key = before.attempt or ""
        how = self._behaviour(key)
        if how.lapses:
            return self._cancel(Cancel(call.intent))
        return self._capture(call.intent, key, how, self._now())

    def _capture(self, intent: str, key: str, how: Behaviour, ended_at: int) -> IntentState:
        self._db.execute(
            "UPDATE intents SET status = 'succeeded', attempt = ?, code = NULL, action_type = NULL, action_url = NULL,"
            " settles_at = NULL WHERE id = ?",
            (key, intent),
        )
        self._db.execute(
            "INSERT INTO captures SELECT id, ?, amount, ? FROM intents WHERE id = ?", (key, ended_at, intent)
        )
        after = self._present(intent)
        self._outgoing.add("payment_intent.succeeded", after, how.webhooks, self._now(), how.webhook_after_ms)
        return after

    def _cancel(self, call: Cancel) -> Result:
        """Not kept under a key: once a charge under way has ended, a repetition must tell the new truth."""
        before = self._intent(call.intent)
        if before is None:
            return _no_such_intent(call.intent)
        if before.status in ("processing", "succeeded", "canceled"):
            return before
        self._db.execute(
            "UPDATE intents SET status = 'canceled', action_type = NULL, action_url = NULL WHERE id = ?", (call.intent,)
        )
        return self._present(call.intent)

    def _refund(self, call: Refund) -> Result:
        where = (call.intent, call.refund_id)
        known = self._db.execute(
            "SELECT amount, ok, code FROM refunds WHERE intent = ? AND refund_id = ?", where
        ).fetchone()
        if known is not None:
            if known[0] != call.amount:
                return Problem("idempotency_key_reused", "The refund id was used for another amount.")
            return RefundState(call.refund_id, known[0], bool(known[1]), known[2])
        intent = self._intent(call.intent)
        if intent is None:
            return _no_such_intent(call.intent)
        code = self._refund_code(intent, call.amount)
        row = (*where, call.amount, code is None, code, self._now())
        self._db.execute("INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?)", row)
        return RefundState(call.refund_id, call.amount, code is None, code)

    def _refund_code(self, intent: IntentState, amount: int) -> str | None:
        if intent.captured == 0:
            return "charge_not_captured"
        if amount <= 0 or intent.refunded + amount > intent.captured:
            return "amount_too_large" if amount > 0 else "amount_too_small"
        tried = self._db.execute("SELECT 1 FROM refunds WHERE intent = ?", (intent.id,)).fetchone()
        return None if tried else self._behaviour(intent.attempt).refund_code

    def _page(self, intent_id: str, number: int) -> Page | None:
        query = "SELECT key, return_url, method, reference FROM attempts WHERE intent = ? AND number = ?"
        row = self._db.execute(query, (intent_id, number)).fetchone()
        intent = self._intent(intent_id)
        if row is None or intent is None:
            return None
        how = behaviour(row[2], row[3])
        if how.action is None:
            return None
        still_open = intent.status == "requires_action" and intent.attempt == row[0]
        shown = (intent.id, number, intent.amount, intent.currency, how.action, row[1])
        return Page(*shown, open=still_open, abandoned=how.abandoned)

    def _decide(self, call: Decide) -> Page | None:
        page = self._page(call.intent, call.number)
        if page is None or not page.open or page.abandoned:
            return page
        intent = self._present(call.intent)
        key = intent.attempt or ""
        how = self._behaviour(key)
        if call.approve:
            self._succeed(intent.id, key, how, self._now())
        else:
            self._db.execute(
                "UPDATE intents SET status = 'requires_payment_method', code = ?, action_type = NULL,"
                " action_url = NULL WHERE id = ?",
                (DECLINED_BY_SHOPPER[page.action], intent.id),
            )
            after = self._present(intent.id)
            self._outgoing.add("payment_intent.payment_failed", after, how.webhooks, self._now())
        return page

    def _behaviour(self, key: str | None) -> Behaviour:
        method, reference = self._db.execute("SELECT method, reference FROM attempts WHERE key = ?", (key,)).fetchone()
        return behaviour(method, reference)

    def _intent(self, intent: str) -> IntentState | None:
        return self._read("id = ?", intent)

    def _present(self, intent: str) -> IntentState:
        found = self._intent(intent)
        if found is None:
            raise LookupError(f"no intent {intent}")
        return found

    def _read(self, where: str, value: str) -> IntentState | None:
        """The intent as it is now: a charge whose time has come succeeds before anyone sees it."""
        row = self._db.execute(READ + f"i.{where}", (value,)).fetchone()
        if row is None:
            return None
        *fields, settles_at, method, reference = row
        intent = IntentState(*[*fields, card(method, reference)])
        if settles_at is not None and settles_at <= self._now() and intent.attempt is not None:
            return self._succeed(intent.id, intent.attempt, self._behaviour(intent.attempt), settles_at)
        return intent


def _no_such_intent(intent: str) -> Problem:
    return Problem("no_such_intent", f"The gateway knows no intent {intent}.")
