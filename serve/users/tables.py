"""The tables of accounts and sessions, and their rows."""

from typing import Any

import msgspec
import sqlalchemy as sa

metadata = sa.MetaData()
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
)


class User(msgspec.Struct, frozen=True):
    """`password` is an argon2 hash; `registered_by` the id of the command that made the account, if it had one."""

    id: str
    email: str
    name: str
    password: str
    roles: tuple[str, ...]
    created_at: int
    version: int
    registered_by: str | None = None


class Session(msgspec.Struct, frozen=True):
    """`ended` says why, if it has: log_out, reuse or password."""

    id: str
    user_id: str
    secret: bytes
    generation: int
    created_at: int
    exchanged_at: int
    expires_at: int
    ended: str | None = None


class EmailTaken(Exception):
    """Another account has this address."""


def create(writing: sa.Engine) -> None:
    """Makes the tables that are not there."""
    with writing.begin() as connection:
        metadata.create_all(connection)


def as_user(row: sa.Row[Any]) -> User:
    return User(**{**row._mapping, "roles": tuple(row.roles.split())})


def folded(email: str) -> str:
    """As addresses are kept and compared."""
    return email.strip().casefold()
