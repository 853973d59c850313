"""The tables of a SQL journal."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
)
from sqlalchemy.dialects.mysql import VARBINARY, VARCHAR
from sqlalchemy.types import TypeEngine

metadata = MetaData()

MYSQL = ("mysql", "mariadb")


class Exact(TypeDecorator[str]):
    """Text that is compared byte by byte: case, accents and blanks at the end make a difference."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name not in MYSQL:
            return dialect.type_descriptor(String(self._length))
        # utf8mb4_bin, which both have, takes no notice of blanks at the end.
        mariadb = getattr(dialect, "is_mariadb", False)
        collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
        return dialect.type_descriptor(VARCHAR(self._length, charset="utf8mb4", collation=collation))


# 120 characters hold every key that the runtime makes: of the ids in them the longest is a SKU, of 64.
_kind = Exact(16)
_id = Exact(120)
_big = BigInteger().with_variant(Integer(), "sqlite")
_token = LargeBinary(16).with_variant(VARBINARY(16), *MYSQL)

records = Table(
    "records",
    metadata,
    Column("position", _big, primary_key=True, autoincrement=True),
    Column("record_id", _token, nullable=False),
    Column("kind", _kind, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("seq", _big, nullable=False),
    Column("epoch", _big, nullable=False),
    Column("entity", _id, nullable=False),
    Column("version", _big, nullable=False),
    Column("command_id", _id, nullable=False),
    Column("body", LargeBinary(2**24), nullable=False),
    Index("records_sequence", "kind", "shard", "seq", unique=True),
    Index("records_version", "kind", "entity", "version", unique=True),
    Index("records_command", "kind", "entity", "command_id", unique=True),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("kind", _kind, primary_key=True),
    Column("entity", _id, primary_key=True),
    Column("version", _big, nullable=False),
    Column("state", LargeBinary(2**24), nullable=False),
)

shards = Table(
    "shards",
    metadata,
    Column("kind", _kind, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", _big, nullable=False),
    Column("owner", _id, nullable=False),
    Column("saved", _big, nullable=False),
    Column("checkpoint", LargeBinary(2**24), nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("owner", _id, primary_key=True),
    Column("until", _big, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("owner", _id, primary_key=True),
    Column("kind", _kind, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", _big, primary_key=True),
)

# Where positions are given under a lock (MySQL): one row.
positions = Table(
    "positions",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("last", _big, nullable=False),
)
