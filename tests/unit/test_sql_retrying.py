"""What becomes of the errors of a database that is away."""

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection

from pipelines.runner import passes
from pipelines.sql.retrying import DatabaseAway, is_away, retried
from serve.gateway import problems

LOST = OperationalError("SELECT 1", {}, pymysql.err.OperationalError(2013, "Lost connection"))
AWAY = (
    LOST,
    OperationalError(None, None, pymysql.err.OperationalError(2003, "Can't connect")),
    OperationalError("UPDATE", {}, pymysql.err.OperationalError(1213, "Deadlock")),
    OperationalError("INSERT", {}, pymysql.err.OperationalError(1114, "The table 'records' is full")),
    InternalError("INSERT", {}, pymysql.err.InternalError(3, "Error writing file (OS errno 28)")),
    InterfaceError("SELECT 1", {}, pymysql.err.InterfaceError(0, "")),
    NoConnection("QueuePool limit"),
)
WRONG = (
    ProgrammingError("SELECT nothing", {}, pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax")),
    OperationalError("SELECT x", {}, pymysql.err.OperationalError(1054, "Unknown column")),
    ValueError("2013"),
)


@pytest.mark.parametrize("error", AWAY, ids=str)
def test_a_database_that_is_away_is_told_as_such_and_waited_for(error: Exception) -> None:
    assert is_away(error)
    assert passes(error)
    problem = problems.from_error(error)
    assert (problem.status, problem.code, problem.headers) == (503, "unavailable", {"Retry-After": "1"})
    assert problems.status_of(error) == 503


@pytest.mark.parametrize("error", WRONG, ids=str)
def test_a_defect_is_not_taken_for_a_database_that_is_away(error: Exception) -> None:
    assert not is_away(error)
    assert problems.from_error(error).status == problems.status_of(error) == 500


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
