"""The test gateway's tables, how an intent is read from them, and what one transaction is."""

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
    id TEXT PRIMARY KEY, session TEXT NOT NULL UNIQUE, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, attempt TEXT, code TEXT, action_type TEXT, action_url TEXT, settles_at INTEGER,
    created_at INTEGER NOT NULL, capture_method TEXT NOT NULL DEFAULT 'automatic');
CREATE INDEX IF NOT EXISTS intents_settling ON intents (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS attempts (
    key TEXT PRIMARY KEY, intent TEXT NOT NULL, number INTEGER NOT NULL, method TEXT NOT NULL, reference TEXT,
    return_url TEXT NOT NULL, answer BLOB NOT NULL, started_at INTEGER NOT NULL, UNIQUE (intent, number));
CREATE TABLE IF NOT EXISTS captures (
    intent TEXT PRIMARY KEY, attempt TEXT NOT NULL, amount INTEGER NOT NULL, captured_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    intent TEXT NOT NULL, refund_id TEXT NOT NULL, amount INTEGER NOT NULL, ok INTEGER NOT NULL, code TEXT,
    refunded_at INTEGER NOT NULL, PRIMARY KEY (intent, refund_id));
"""
MANUAL = "ALTER TABLE intents ADD COLUMN capture_method TEXT NOT NULL DEFAULT 'automatic'"
"""For a file from before there was manual capture."""

READ = """
SELECT i.id, i.session, i.amount, i.currency, i.status, i.attempt, i.code, i.action_type, i.action_url,
    coalesce((SELECT amount FROM captures c WHERE c.intent = i.id), 0),
    coalesce((SELECT sum(amount) FROM refunds r WHERE r.intent = i.id AND r.ok), 0), i.settles_at, a.method, a.reference
FROM intents i LEFT JOIN attempts a ON a.key = i.attempt WHERE """


class Transaction:
    """All that is done inside it, or nothing. Raises sqlite3.Error if it cannot be committed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            # Also after a commit that failed, or no later transaction could begin.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
