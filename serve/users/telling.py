"""What others are told of an account: its events, in the transaction of what happened."""

import sqlalchemy as sa

from pipelines.events.users import KIND, Event
from pipelines.log.outbox import put
from serve.users.tables import outbox, users


def tell(connection: sa.Connection, user_id: str, *events: Event, at: int) -> int:
    """Counts the account's version up and puts the events beside it; answers the version. `at`: UTC, milliseconds.

    The connection must be in a transaction that writes. Raises LookupError: there is no such account.
    """
    there = _there(user_id)
    if connection.execute(users.update().where(there).values(version=users.c.version + 1)).rowcount == 0:
        raise LookupError(user_id)
    version = connection.execute(sa.select(users.c.version).where(there)).scalar_one()
    put(connection, outbox, KIND, user_id, version, events, at)
    return int(version)


def lock(connection: sa.Connection, user_id: str) -> None:
    """Nobody else changes what belongs to the account until the transaction ends; nothing if there is no such account.

    To be said before anything is read that must still be so when it is written.
    """
    connection.execute(sa.select(users.c.id).where(_there(user_id)).with_for_update())


def _there(user_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(users.c.id == user_id, users.c.deleted_at.is_(None))
