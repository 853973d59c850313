"""How a database on MySQL or MariaDB is opened.

A write reads what is committed, and locks the rows that it decides on (`with_for_update`); on SQLite, where one
transaction writes at a time, that says nothing. A read of several statements that must be of one moment says
`writes=False`.
"""

import re

from pymysql.constants import CLIENT
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10
"""An answer that takes longer ends the connection: it is as if it had been lost."""
LOCK_SECONDS = 3
"""How long a statement waits for a row that another transaction holds."""
POOL_SECONDS = 10
RECYCLE_SECONDS = 1800
_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
_SESSION = f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}, sql_mode = '{_MODE}'"
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_REPEATS_VALUES = {1062, 1264, 1292, 1366, 1406, 1411}


def open_mysql(url: str, connections: int, answer_seconds: int = ANSWER_SECONDS) -> Engine:
    """At most so many connections. Transactions are READ COMMITTED; with the execution option ``writes=False`` they see
    one snapshot and cannot write. An UPDATE counts the rows that it found, whether or not it changed them."""
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_SECONDS,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": answer_seconds,
            "write_timeout": answer_seconds,
            "charset": "utf8mb4",
            "client_flag": CLIENT.FOUND_ROWS,
            "init_command": _SESSION,
        },
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _without_values)
    return engine


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("writes") is False:
        connection.exec_driver_sql(_SNAPSHOT)  # of the next transaction only


def _without_values(context: ExceptionContext) -> None:
    """What the server says of a value may be somebody's address: errors are logged."""
    error = context.original_exception
    if len(error.args) != 2 or error.args[0] not in _REPEATS_VALUES or context.sqlalchemy_exception is None:
        return
    code, told = error.args
    key = re.search(r" for (?:key|column) '([^']*)'[^']*\Z", str(told), re.DOTALL)
    told = f"a value was refused{f' for {key[1]}' if key else ''}"
    error.args = (code, told)
    context.sqlalchemy_exception.args = (f"({type(error).__name__}) ({code}, {told!r})",)
