"""The users' own database: accounts and sessions. Every call blocks, and is one transaction.

A session row keeps how often its refresh token was exchanged (`generation`); the tokens themselves are made from the
row's secret, so an old one can be told from a forged one, and nothing grows with the number of exchanges.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

_metadata = sa.MetaData()
_users = sa.Table(
    "users",
    _metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("password", sa.String(255), nullable=False),
    sa.Column("roles", sa.String(100), nullable=False, default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, default=1),
    sa.Column("registered_by", sa.String(32)),
)
_sessions = sa.Table(
    "sessions",
    _metadata,
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


def open_engine(address: str | Path) -> sa.Engine:
    """An engine for a file (made readable by its owner only: it holds keys) or for an SQLAlchemy URL."""
    if "://" in str(address):
        return sa.create_engine(str(address), pool_pre_ping=True)
    path = Path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and not before a savepoint
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # Who reads before it writes would fail at once when another writes between; so writers lock first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Store:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        with self._writing.begin() as connection:
            _metadata.create_all(connection)

    # Accounts

    def add(self, user: User) -> None:
        """Raises EmailTaken."""
        row = {**msgspec.structs.asdict(user), "roles": " ".join(user.roles)}
        try:
            with self._writing.begin() as connection:
                connection.execute(_users.insert().values(row))
        except sa.exc.IntegrityError as error:
            raise EmailTaken from error

    def by_email(self, email: str) -> User | None:
        return self._user(_users.c.email == email)

    def by_id(self, user_id: str) -> User | None:
        return self._user(_users.c.id == user_id)

    def change(self, user_id: str, *, name: str | None = None, password: str | None = None) -> User | None:
        """None: there is no such user."""
        values = {k: v for k, v in {"name": name, "password": password}.items() if v is not None}
        return self._change(user_id, values)

    def grant(self, user_id: str, roles: Iterable[str]) -> User | None:
        """Sets the roles."""
        return self._change(user_id, {"roles": " ".join(sorted(set(roles)))})

    def _change(self, user_id: str, values: dict[str, Any]) -> User | None:
        change = _users.update().where(_users.c.id == user_id).values(**values, version=_users.c.version + 1)
        with self._writing.begin() as connection:
            connection.execute(change)
            row = connection.execute(sa.select(_users).where(_users.c.id == user_id)).first()
        return None if row is None else _as_user(row)

    def _user(self, where: sa.ColumnElement[bool]) -> User | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_users).where(where)).first()
        return None if row is None else _as_user(row)

    # Sessions

    def open_session(self, session: Session) -> None:
        """Also forgets the sessions that have expired by its start."""
        with self._writing.begin() as connection:
            connection.execute(_sessions.delete().where(_sessions.c.expires_at <= session.created_at))
            connection.execute(_sessions.insert().values(msgspec.structs.asdict(session)))

    def session(self, session_id: str) -> Session | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_sessions).where(_sessions.c.id == session_id)).first()
        return None if row is None else Session(**row._mapping)

    def exchange(self, session_id: str, generation: int, now: int, expires_at: int) -> bool:
        """Counts an exchange; false if this generation is no longer the current one, or the session has ended."""
        current = sa.and_(
            _sessions.c.id == session_id, _sessions.c.generation == generation, _sessions.c.ended.is_(None)
        )
        values = {"generation": generation + 1, "exchanged_at": now, "expires_at": expires_at}
        with self._writing.begin() as connection:
            return connection.execute(_sessions.update().where(current).values(values)).rowcount == 1

    def end_session(self, session_id: str, reason: str) -> None:
        self._end(_sessions.c.id == session_id, reason)

    def end_sessions(self, user_id: str, reason: str, but: str = "") -> None:
        """All of the user's sessions, except the one named by `but`."""
        self._end(sa.and_(_sessions.c.user_id == user_id, _sessions.c.id != but), reason)

    def _end(self, where: sa.ColumnElement[bool], reason: str) -> None:
        change = _sessions.update().where(where, _sessions.c.ended.is_(None)).values(ended=reason)
        with self._writing.begin() as connection:
            connection.execute(change)


def _as_user(row: sa.Row[Any]) -> User:
    return User(**{**row._mapping, "roles": tuple(row.roles.split())})
