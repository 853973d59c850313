"""The tables of accounts and sessions, and their rows."""

from contextlib import suppress
from typing import Any

import msgspec
import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email

from pipelines.log.outbox import outbox_table
from pipelines.sql.revisions import metadata_of, prepare
from pipelines.sql.words import BIG, REAL
from serve.gateway import keys

_ACE = "xn--"
"""What domains begin with that are written in ASCII and mean something else."""

metadata = metadata_of("users")
for _table in keys.metadata.tables.values():
    _table.to_metadata(metadata)  # they are kept in the same database
users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("password", sa.String(255), nullable=False),
    sa.Column("roles", sa.String(100), nullable=False, default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, default=1),
    sa.Column("registered_by", sa.String(32)),
    sa.Column("logged_in_at", sa.BigInteger),
    sa.Column("phone", sa.String(40)),
    sa.Column("language", sa.String(2), nullable=False, server_default="en"),
    sa.Column("confirmed_at", sa.BigInteger),
    sa.Column("deleted_at", sa.BigInteger),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("exchanged_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("ended", sa.String(20)),
    sa.Column("device", sa.String(120), nullable=False, server_default=""),
    sa.Column("address", sa.String(60), nullable=False, server_default=""),
    sa.Column("kept", sa.Boolean, nullable=False, server_default=sa.false()),
)
ended_sessions = sa.Table(
    "ended_sessions",
    metadata,
    sa.Column("position", BIG, primary_key=True, autoincrement=True),
    sa.Column("session", sa.String(32), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)
failures = sa.Table(
    "log_in_failures",
    metadata,
    sa.Column("who", sa.String(64), primary_key=True),
    sa.Column("count", REAL, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
    sa.Column("shut_until", sa.BigInteger, nullable=False),
)
identities = sa.Table(
    "identities",
    metadata,
    sa.Column("provider", sa.String(40), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("linked_at", sa.BigInteger, nullable=False),
)
exchange_codes = sa.Table(
    "exchange_codes",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("browser", sa.String(64), nullable=False),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
)
outbox = outbox_table(metadata)


class User(msgspec.Struct, frozen=True):
    """`password` is an argon2 hash, empty for who has only ever come from a provider; `registered_by` the id of the
    command that made the account, if it had one; `logged_in_at` when its owner last did; `confirmed_at` when the
    address was shown to be its owner's. Of a deleted account nothing else is left."""

    id: str
    email: str
    name: str
    password: str
    roles: tuple[str, ...]
    created_at: int
    version: int
    registered_by: str | None = None
    logged_in_at: int | None = None
    phone: str | None = None
    language: str = "en"
    confirmed_at: int | None = None
    deleted_at: int | None = None


class Session(msgspec.Struct, frozen=True):
    """`ended` says why, if it has: log_out, reuse, password, too_many or deleted. `device` and `address` are short
    forms, of the last use; `kept`: its owner wants to stay logged in."""

    id: str
    user_id: str
    secret: bytes
    generation: int
    created_at: int
    exchanged_at: int
    expires_at: int
    ended: str | None = None
    device: str = ""
    address: str = ""
    kept: bool = False


class EmailTaken(Exception):
    """Another account has this address."""


def create(writing: sa.Engine) -> None:
    """Makes the tables that are not there, and columns that an older version did not have. Raises SchemaBehind."""
    from serve.users import account_tables  # noqa: F401  # whoever is first makes all of them

    prepare(writing, metadata, add_columns)


def add_columns(connection: sa.Connection) -> None:
    seen = sa.inspect(connection)
    for table in metadata.tables.values():
        there = {column["name"] for column in seen.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                added = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {added}")


def as_user(row: sa.Row[Any]) -> User:
    return User(**{**row._mapping, "roles": tuple(row.roles.split())})


def folded(email: str) -> str:
    """As addresses are kept and compared: without case, and each domain in one spelling. Never two people's as one.

    No fold of characters: by that faß.de were fass.de, which is another's domain.
    """
    plain = email.strip()
    if not plain.isascii() or _ACE in plain.lower():
        with suppress(EmailNotValidError):
            plain = validate_email(plain, check_deliverability=False, test_environment=True).normalized
    return plain.lower()
