"""Writes the next revision of a database, from how the tables in the code differ from those of the last one."""

import sys

import sqlalchemy as sa
from alembic import command

from serve.migrations import heads
from serve.migrations.running import DATABASES, config_of, upgrade


def main(name: str, message: str) -> None:
    """`name`: of a database, such as users."""
    if name not in DATABASES:
        sys.exit(f"There is no database {name}; there are {', '.join(DATABASES)}.")
    number = int(heads().get(name, "0")) + 1
    with sa.create_engine("sqlite://").begin() as connection:
        if number > 1:
            upgrade(connection, name, print)
        config = config_of(connection, name, print)
        command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")


if __name__ == "__main__":
    main(*sys.argv[1:])
