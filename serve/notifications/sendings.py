"""What was handed to a server, or may have been: one row a message, with its intent and its outcome."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from pipelines.sql.words import Said, is_mysql
from serve.databases import SharedTransactions

State = Literal["go", "again", "ended", "busy", "unanswered"]
Outcome = Literal["sent", "rejected", "no_contact", "lapsed", "turned_off", "suppressed"]
MOST_UNANSWERED = 2
"""So often a message is sent whose fate is unknown; then somebody has to decide."""

# Asked for each message, so said to the driver as it is. The take-over is one conditional write: of two senders that
# find an intent ended, one gets it.
_MAY_TAKE = f"outcome IS NULL AND (sender IS NULL OR (ends_at <= {{now}} AND sendings < {MOST_UNANSWERED}))"
_BEGIN = f"""
    INSERT INTO {{table}} (message_id, event_id, template, order_id, owner, sender, ends_at, sendings, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)
    ON CONFLICT (message_id) DO UPDATE SET sender = ?6, ends_at = ?7, sendings = sendings + 1
    WHERE {_MAY_TAKE.format(now="?8")}
    RETURNING sendings, created_at
"""
# MySQL has no RETURNING. The first statement locks the row, whether it was there or not.
_INTEND_ON_MYSQL = """
    INSERT INTO {table} (message_id, event_id, template, order_id, owner, ends_at, sendings, created_at)
    VALUES (%s, %s, %s, %s, %s, 0, 0, %s) ON DUPLICATE KEY UPDATE message_id = VALUES(message_id)
"""
_TAKE_ON_MYSQL = f"""
    UPDATE {{table}} SET sender = %s, ends_at = %s, sendings = sendings + 1
    WHERE message_id = %s AND {_MAY_TAKE.format(now="%s")}
"""
_TAKEN_ON_MYSQL = "SELECT sendings, created_at FROM {table} WHERE message_id = %s"
_FOUND = "SELECT outcome, ends_at FROM {table} WHERE message_id = ?"
_END = "UPDATE {table} SET outcome = ?, ended_at = ?, sender = ? WHERE message_id = ? AND outcome IS NULL"
_NOT_SENT = """
    UPDATE {table} SET sender = NULL, ends_at = 0, sendings = sendings - 1
    WHERE message_id = ? AND sender = ? AND outcome IS NULL
"""
_FREE = "UPDATE {table} SET sender = NULL, ends_at = 0 WHERE message_id = ? AND outcome IS NULL AND ends_at <= ?"


class NewMail(NamedTuple):
    message_id: str
    event_id: str
    template: str
    order_id: str
    owner: str


class Begun(NamedTuple):
    """What came of an intent.

    *go*: it is the asker's. *again*: too, and it may have been sent before. *ended*: it has its outcome. *busy*:
    another's. *unanswered*: it was sent so often without an answer that nobody may, before it is freed.
    `created_at`: of the message's first intent.
    """

    state: State
    created_at: int = 0


class Sendings:
    """`table`: one of those that `tables.sendings` makes. `unwanted`: whether its owner does not want such a message.

    Times are UTC in milliseconds.
    """

    def __init__(
        self, table: sa.Table, writes: SharedTransactions, unwanted: Callable[[sa.Connection, NewMail], bool]
    ) -> None:
        self._writes = writes
        self._unwanted = unwanted
        said = {name: text.format(table=table.name) for name, text in _STATEMENTS.items()}
        self._begin_sql, self._intend, self._take, self._taken_sql = (
            said[name] for name in ("begin", "intend", "take", "taken")
        )
        self._found, self._end, self._not_sent, self._free = (
            Said(said[name]) for name in ("found", "end", "not_sent", "free")
        )

    async def begin(self, mail: NewMail, sender: str, now: int, ends_at: int, *, optional: bool = False) -> Begun:
        """Intend to send, so that it is `sender`'s until `ends_at`. `optional`: not if its owner does not want it."""
        # If it is unknown whether it stands, it is waited out: nobody has sent anything.
        return await self._writes.run(lambda db: self._begun(db, mail, sender, now, ends_at, optional), again=False)

    async def end(self, message_id: str, sender: str, outcome: Outcome, now: int) -> None:
        """Record the outcome; if another has taken it over, the first outcome recorded stands."""
        await self._writes.run(lambda db: self._end(db, (outcome, now, sender, message_id)).rowcount)

    async def not_sent(self, message_id: str, sender: str) -> None:
        """It was certainly not sent: anyone may send it at once."""
        await self._writes.run(lambda db: self._not_sent(db, (message_id, sender)).rowcount)

    async def free(self, message_id: str, now: int) -> None:
        """Whatever became of it, whoever asks next may send it, unless somebody is sending it now."""
        await self._writes.run(lambda db: self._free(db, (message_id, now)).rowcount)

    def _begun(self, db: sa.Connection, mail: NewMail, sender: str, now: int, ends_at: int, optional: bool) -> Begun:
        row = self._taken(db, mail, sender, now, ends_at)
        if row is None:
            found: Any = self._found(db, (mail.message_id,)).one()
            outcome, others_until = found
            if outcome is not None:
                return Begun("ended")
            return Begun("busy" if others_until > now else "unanswered")
        if optional and self._unwanted(db, mail):
            self._end(db, ("turned_off", now, sender, mail.message_id))
            return Begun("ended")
        return Begun("again" if row.sendings > 1 else "go", row.created_at)

    def _taken(self, db: sa.Connection, mail: NewMail, sender: str, now: int, ends_at: int) -> Any:
        """The row of a message that is `sender`'s now, or None."""
        if not is_mysql(db):
            return db.exec_driver_sql(self._begin_sql, (*mail, sender, ends_at, now)).first()
        db.exec_driver_sql(self._intend, (*mail, now))
        if db.exec_driver_sql(self._take, (sender, ends_at, mail.message_id, now)).rowcount == 0:
            return None
        return db.exec_driver_sql(self._taken_sql, (mail.message_id,)).one()


_STATEMENTS = {
    "begin": _BEGIN,
    "intend": _INTEND_ON_MYSQL,
    "take": _TAKE_ON_MYSQL,
    "taken": _TAKEN_ON_MYSQL,
    "found": _FOUND,
    "end": _END,
    "not_sent": _NOT_SENT,
    "free": _FREE,
}
