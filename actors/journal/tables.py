"""The tables of a SQL journal."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

# Ids are compared byte by byte; 120 characters hold every key that the runtime makes.
_id = String(120)
_big = BigInteger().with_variant(Integer(), "sqlite")

records = Table(
    "records",
    metadata,
    Column("position", _big, primary_key=True, autoincrement=True),
    Column("record_id", LargeBinary(16), nullable=False),
    Column("kind", String(16), nullable=False),
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
    Column("kind", String(16), primary_key=True),
    Column("entity", _id, primary_key=True),
    Column("version", _big, nullable=False),
    Column("state", LargeBinary(2**24), nullable=False),
)

shards = Table(
    "shards",
    metadata,
    Column("kind", String(16), primary_key=True),
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
    Column("kind", String(16), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", _big, primary_key=True),
)
