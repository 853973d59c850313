"""What becomes of the errors of a database that is away."""

import pytest
import sqlalchemy as sa

from pipelines.sql.retrying import DatabaseAway, retried


def test_where_all_connections_wait_for_an_answer_the_database_is_away() -> None:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01, hide_parameters=True
    )

    def ask() -> None:
        with engine.connect():
            raise AssertionError("it was given a connection")

    with engine.connect(), pytest.raises(DatabaseAway):
        retried(ask, again=True)
    engine.dispose()
