"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import OperationalError

revision = "0001"
down_revision = None

SAID = "what staff changed is not altered"
REFUSALS = {
    "sqlite": f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END",
    "mysql": f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{SAID}'",
}


def upgrade() -> None:
    """Tables are only ever added to: what runs on the old ones goes on until it is replaced."""
    op.create_table(
        "staff_changes",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=160), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("before", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("staff_changes_by_path", "staff_changes", ["path", "number"], unique=False)
    op.create_index("staff_changes_by_time", "staff_changes", ["at"], unique=False)
    op.create_index("staff_changes_by_who", "staff_changes", ["who", "number"], unique=False)
    op.create_table(
        "staff_outcomes",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("after", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    for table in ("staff_changes", "staff_outcomes"):
        for verb in ("UPDATE", "DELETE"):
            _refuse(table, verb)


def _refuse(table: str, verb: str) -> None:
    dialect = op.get_bind().dialect.name
    trigger = f"{table}_no_{verb.lower()}"
    try:
        op.execute(f"CREATE TRIGGER IF NOT EXISTS {trigger} BEFORE {verb} ON {table} {REFUSALS[dialect]}")
    except OperationalError as error:
        # Some servers that are rented let nobody but their owner make triggers.
        if dialect != "mysql" or error.orig is None or error.orig.args[0] not in (1142, 1227):
            raise
        config = op.get_context().config
        assert config is not None
        config.attributes["tell"](f"The server does not let us make a trigger: revoke {verb} on {table} instead.")
