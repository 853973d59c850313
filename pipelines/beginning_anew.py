"""Flows over another Kafka than before: where they stood in the old one says nothing there."""

from collections.abc import Collection

import sqlalchemy as sa

from pipelines.progress_tables import DEAD_LETTERS, INBOX, POSITIONS
from pipelines.sql.retrying import retried

OLDER = 2**62
"""Positions of a log that is no more are moved down by this: they stay in order, and before all others."""


def begin_anew(engine: sa.Engine, kept: Collection[str], told_again: Collection[str]) -> int:
    """Forgets the positions of a database's flows in Kafka, but at the places in `kept`, TOPIC-PARTITION; how many.

    Dead letters of kinds of entity that are `told_again` go too, since their events come again. For no flow that runs.
    """

    def transaction() -> int:
        with engine.begin() as db:
            return _forget(db, kept, told_again)

    return retried(transaction, again=True)


def _forget(db: sa.Connection, kept: Collection[str], told_again: Collection[str]) -> int:
    names = {str(name) for table in (POSITIONS, INBOX, DEAD_LETTERS) for name in db.scalars(sa.select(table.c.flow))}
    gone = sorted(name for name in names if "@" in name and name.partition("@")[2] not in kept)
    for table in (POSITIONS, INBOX):
        db.execute(table.delete().where(table.c.flow.in_(gone)))
    letters = DEAD_LETTERS.c
    mine = letters.flow.in_(gone)
    db.execute(DEAD_LETTERS.delete().where(mine, letters.kind.in_(sorted(told_again))))
    older = DEAD_LETTERS.update().where(mine, letters.position > 0)
    db.execute(older.values(position=letters.position - OLDER))
    return len(gone)
