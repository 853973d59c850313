"""What a shop has written: records, outboxes, how far its flows are, its mails. Read only, while the shop runs."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from actors.runtime.wire import Body, Note, Record, body_of
from pipelines.log.base import Happened

BUSY_SECONDS = 10.0
JOURNAL = "journal"
OUTBOXES = ("users", "catalog")

_RECORDS = (
    "SELECT position, record_id, kind, shard, seq, epoch, entity, version, command_id, body FROM records "
    "WHERE position > ? ORDER BY position"
)
_OUTBOX = "SELECT position, kind, entity, version, number, at, event FROM outbox WHERE position > ? ORDER BY position"


class Stored(NamedTuple):
    """A decision and its place in the journal."""

    position: int
    kind: str
    entity: str
    version: int
    command_id: str
    body: Body

    @property
    def events(self) -> list[Happened]:
        return [
            Happened(self.position, self.kind, self.entity, self.version, index, self.body.at, event)
            for index, event in enumerate(self.body.events)
        ]


class Reached(NamedTuple):
    """By flow: every event up to its position is done with, and those of `ahead`; `letters` it gave up on."""

    positions: dict[str, int]
    ahead: frozenset[tuple[str, str]]
    letters: frozenset[tuple[str, str]]

    def done(self, flow: str, happened: Happened) -> bool:
        """Whether the flow is done with an event of its log, and did not put it aside."""
        mine = (flow, happened.id)
        passed = mine in self.ahead or self.positions.get(flow, -1) >= happened.position
        return passed and mine not in self.letters


class Mail(NamedTuple):
    """What became of one mail. `file` and `subject` are empty where there is no file of it."""

    event_id: str
    template: str
    outcome: str
    file: str
    subject: str


class _Tagged(msgspec.Struct):
    type: str


_tag = msgspec.msgpack.Decoder(_Tagged)


def name_of(message: bytes) -> str:
    """``OrderPlaced`` of an encoded OrderPlaced/1."""
    return _tag.decode(message).type.partition("/")[0]


class Trail:
    """Over the data folder of a shop, and the folder that its mails go to."""

    def __init__(self, folder: Path, mails: Path) -> None:
        self._folder = folder
        self._mails = mails

    def end(self, log: str) -> int:
        """The last position of the journal or of a service's outbox; 0 if there is none."""
        table = "records" if log == JOURNAL else "outbox"
        rows = self._rows(log, table, f"SELECT COALESCE(MAX(position), 0) FROM {table}")
        return int(rows[0][0]) if rows else 0

    def records(self, after: int) -> list[Stored]:
        """Decisions behind a position of the journal, in order."""
        found = []
        for position, *rest in self._rows(JOURNAL, "records", _RECORDS, (after,)):
            record = Record(*rest)
            body = body_of(record)
            if body.note is Note.DECISION:
                found.append(Stored(position, record.kind, record.entity, record.version, record.command_id, body))
        return found

    def outbox(self, service: str, after: int) -> list[Happened]:
        """Events of a service that is tables; none where it has no outbox."""
        return [Happened(*row) for row in self._rows(service, "outbox", _OUTBOX, (after,))]

    def reached(self) -> Reached:
        return Reached(
            {
                str(row[0]): int(row[1])
                for row in self._rows("flows", "positions", "SELECT flow, position FROM positions")
            },
            self._pairs("inbox"),
            self._pairs("dead_letters"),
        )

    def mails_of(self, event_ids: Sequence[str]) -> list[Mail]:
        """Those that were meant to be sent because of these events, in order of time."""
        marks = ", ".join("?" * len(event_ids))
        query = (
            "SELECT message_id, event_id, template, COALESCE(outcome, 'sending') FROM mails "
            f"WHERE event_id IN ({marks}) ORDER BY created_at, message_id"
        )
        rows = self._rows("notifications", "mails", query, event_ids)
        files = self.mail_files() if rows else {}
        return [Mail(event, template, outcome, *files.get(id, ("", ""))) for id, event, template, outcome in rows]

    def mail_files(self) -> dict[str, tuple[str, str]]:
        """File name and subject by Message-ID."""
        return {str(mail["Message-ID"]): (path.name, str(mail["Subject"])) for path, mail in self.letters()}

    def letters(self) -> Iterator[tuple[Path, EmailMessage]]:
        """Every mail that lies in the folder."""
        for path in sorted(self._mails.glob("*.eml")):
            try:
                mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            except FileNotFoundError:
                continue
            assert isinstance(mail, EmailMessage)
            yield path, mail

    def _pairs(self, table: str) -> frozenset[tuple[str, str]]:
        query = f"SELECT flow, event_id FROM {table}"
        return frozenset((str(row[0]), str(row[1])) for row in self._rows("flows", table, query))

    def _rows(self, database: str, table: str, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        path = self._folder / f"{database}.db"
        if not path.exists():
            return []
        with _open(path) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
            return connection.execute(query, tuple(values)).fetchall() if known.fetchone() else []


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"file:{path.absolute()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        yield connection
