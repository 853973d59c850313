"""What others are told of an account: its events, in the transaction of what happened."""

import sqlalchemy as sa

from pipelines.events.users import KIND, Event
from pipelines.log.outbox import outbox_table, put
from serve.users.tables import metadata, users

outbox = outbox_table(metadata)


def tell(connection: sa.Connection, user_id: str, *events: Event, at: int) -> int:
    """Counts the account's version up and puts the events beside it; answers the version. `at`: UTC, milliseconds.

    The connection must be in a transaction that writes. Raises LookupError: there is no such account.
    """
    step = users.update().where(users.c.id == user_id).values(version=users.c.version + 1)
    if connection.execute(step).rowcount == 0:
        raise LookupError(user_id)
    version = connection.scalar(sa.select(users.c.version).where(users.c.id == user_id))
    assert version is not None
    put(connection, outbox, KIND, user_id, version, events, at)
    return int(version)
