"""What a shop has written: records, outboxes, how far its flows are, its mails. Read only, while the shop runs.

Each is read where the settings say that it stands: in the data folder, or on the servers themselves.
"""

from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from pipelines.log.base import Happened
from pipelines.log.outbox import outbox_table
from pipelines.progress_tables import DEAD_LETTERS, INBOX, POSITIONS
from serve.notifications.mailer import row_of
from serve.notifications.tables import MAILS
from serve.settings import Settings
from serve.tour.databases import Database
from serve.tour.kafka_tail import KafkaTail
from serve.tour.places import Place, Reached, in_the_databases
from serve.tour.products import Indexed, products_in
from serve.tour.records import CartRecords, Records, SqlRecords, Stored

OUTBOX = outbox_table(sa.MetaData())


class Mail(NamedTuple):
    """What became of one mail. `file` and `subject` are empty where there is no file of it."""

    event_id: str
    template: str
    outcome: str
    file: str
    subject: str


class Trail:
    """Of the shop that these settings are of. Raises what its databases raise. `close` when done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._databases: dict[str, Database] = {}
        self._journals: list[Records] = [SqlRecords(self._database("journal"), settings.shards)]
        if settings.mongo_address is not None:
            self._journals.append(CartRecords(settings.mongo_address, settings.shards))
        self._kafka = KafkaTail(settings) if settings.kafka_servers else None
        self._outboxes: dict[str, int] = {}

    def close(self) -> None:
        for one in (*self._journals, *self._databases.values(), *([self._kafka] if self._kafka else ())):
            one.close()

    def skip(self, service: str) -> None:
        """What stands in the journals and has been told by a service until now is nobody's news."""
        for journal in self._journals:
            journal.skip()
        self.told(service)

    def records(self) -> list[Stored]:
        """Decisions that were not read yet; those of each shard in order."""
        return [record for journal in self._journals for record in journal.new()]

    def told(self, service: str) -> list[Happened]:
        """Events of a service that is tables that were not read yet; none where there is no outbox."""
        if self._kafka is not None:
            return self._kafka.new(service)
        position = OUTBOX.c.position
        behind = position > self._outboxes.get(service, 0)
        rows = self._database(service).rows(sa.select(OUTBOX).where(behind).order_by(position))
        if rows:
            self._outboxes[service] = int(rows[-1].position)
        return [Happened(*row) for row in rows]

    def home(self, service: str) -> str:
        """Where the rows of a service stand."""
        database = self._database(service)
        return f"{service}.db" if database.is_file else f"MySQL, {database.name}"

    def place(self, happened: Happened) -> Place | None:
        """Where an event stands that flows read; None: it was not seen there yet."""
        return in_the_databases(happened) if self._kafka is None else self._kafka.place(happened.id)

    def reached(self) -> Reached:
        positions = {str(row.flow): int(row.position) for row in self._database("flows").rows(sa.select(POSITIONS))}
        groups = self._kafka.flows if self._kafka is not None else frozenset[str]()
        return Reached(positions, self._pairs(INBOX), self._pairs(DEAD_LETTERS), self.place, groups)

    def indexed(self, skus: Sequence[str]) -> list[Indexed]:
        """What Elasticsearch itself has of the products with these SKUs; nothing where there is none."""
        return products_in(self._settings, skus)

    def mails_of(self, event_ids: Sequence[str]) -> list[Mail]:
        """Those that were meant to be sent because of these events, in order of time."""
        columns = MAILS.c
        query = sa.select(columns.message_id, columns.event_id, columns.template, columns.outcome)
        because = columns.event_id.in_(list(event_ids))
        rows = self._database("notifications").rows(
            query.where(because).order_by(columns.created_at, columns.message_id)
        )
        files = self.mail_files() if rows else {}
        return [
            Mail(event_id, template, outcome or "sending", *files.get(message_id, ("", "")))
            for message_id, event_id, template, outcome in rows
        ]

    def mail_files(self) -> dict[str, tuple[str, str]]:
        """File name and subject by Message-ID."""
        return {
            row_of(str(mail["Message-ID"]).removeprefix("<").partition("@")[0]): (path.name, str(mail["Subject"]))
            for path, mail in self.letters()
        }

    def letters(self) -> Iterator[tuple[Path, EmailMessage]]:
        """Every mail that lies in the folder."""
        for path in sorted(self._settings.mails.glob("*.eml")):
            try:
                mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            except FileNotFoundError:
                continue
            assert isinstance(mail, EmailMessage)
            yield path, mail

    def _pairs(self, table: sa.Table) -> frozenset[tuple[str, str]]:
        """Flow and event; over Kafka a flow has a progress for each partition."""
        rows = self._database("flows").rows(sa.select(table.c.flow, table.c.event_id))
        return frozenset((str(row.flow).partition("@")[0], str(row.event_id)) for row in rows)

    def _database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = Database(self._settings, name)
        return self._databases[name]
