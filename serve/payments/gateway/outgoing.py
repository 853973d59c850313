"""The webhooks that the test gateway still owes: rows beside its book, so that a restart forgets none."""

import secrets
import sqlite3

import msgspec

from serve.payments.gateway.base import IntentState

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhooks (
    number INTEGER PRIMARY KEY, body BLOB NOT NULL, due_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due_at);
"""
MOST_TRIES = 20
LONGEST_PAUSE = 3_600_000


class WebhookEvent(msgspec.Struct, frozen=True):
    """The body of a webhook, as JSON. `created` is UTC in milliseconds; `id` is the same in every copy."""

    id: str
    type: str
    created: int
    session: str
    intent: str
    status: str


class Outgoing:
    """The caller holds the connection and its transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def add(self, kind: str, intent: IntentState, copies: int, now: int, after_ms: int = 0) -> None:
        """Plan `copies` webhooks, due in `after_ms`, that tell how the intent is `now` (UTC, ms)."""
        if copies == 0:
            return
        event = WebhookEvent("evt_" + secrets.token_hex(12), kind, now, intent.session, intent.id, intent.status)
        body = msgspec.json.encode(event)
        self._db.executemany("INSERT INTO webhooks (body, due_at) VALUES (?, ?)", [(body, now + after_ms)] * copies)

    def due(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        query = "SELECT number, body FROM webhooks WHERE due_at <= ? ORDER BY due_at, number LIMIT ?"
        return self._db.execute(query, (now, limit)).fetchall()

    def note(self, number: int, delivered: bool, now: int) -> None:
        row = self._db.execute("SELECT tries FROM webhooks WHERE number = ?", (number,)).fetchone()
        if row is None:
            return
        tries = row[0] + 1
        if delivered or tries >= MOST_TRIES:
            self._db.execute("DELETE FROM webhooks WHERE number = ?", (number,))
            return
        again = now + min(1000 << (tries - 1), LONGEST_PAUSE)
        self._db.execute("UPDATE webhooks SET tries = ?, due_at = ? WHERE number = ?", (tries, again, number))

    def next_due(self) -> int | None:
        at: int | None = self._db.execute("SELECT min(due_at) FROM webhooks").fetchone()[0]
        return at
