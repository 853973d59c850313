"""Transactions that are gone through again: after a deadlock, and when a connection was lost."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from actors.runtime.ports import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 5.0
"""After which no other try begins."""
_DEADLOCK, _LOCK_WAIT = 1213, 1205
_LOST = {0, 1053, 1927, 2006, 2013, 2014, 2055, 4031}
_NOBODY_THERE = {1040, 2002, 2003, 2005}
_NO_ROOM = {3, 20, 1021, 1026, 1114}
"""Its disk is full: somebody will make room. Where it keeps a binary log it says nothing, but waits for that."""


class OutcomeUnknown(Unavailable):
    """The connection was lost while a transaction was committed, and it is not one that can be run again."""

    def __init__(self) -> None:
        super().__init__("the database did not say whether it was done")


class DatabaseAway(Unavailable):
    """It does not answer, is too busy, or has no room; nothing was done."""

    def __init__(self) -> None:
        super().__init__("the database does not answer")


def transaction(*, again: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For a function that blocks and is one transaction, which may be begun again while it is not committed.

    `again`: also when that is unknown, because whether it is done once or twice makes no difference that matters.
    Raises OutcomeUnknown, DatabaseAway.
    """

    def decorate(work: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(work)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            return retried(lambda: work(*args, **kwargs), again=again)

        return run

    return decorate


def retried(work: Callable[[], T], *, again: bool, seconds: float = SECONDS) -> T:
    """As `transaction`, for one call of `work`."""
    trying = Retrying(
        retry=retry_if_exception(lambda error: _passes(error, again)),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.01, max=0.25),
        reraise=True,
    )
    try:
        return trying(work)
    except NoConnection as error:
        # All there are wait for an answer.
        raise DatabaseAway from error
    except DBAPIError as error:
        if _lost(error):
            raise (OutcomeUnknown if _committing(error) else DatabaseAway)() from error
        if is_away(error):
            raise DatabaseAway from error
        raise


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database does not answer, is too busy or has no room: a later try makes sense."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, NoConnection)
    return _lost(error) or _code(error) in {_DEADLOCK, _LOCK_WAIT} | _NOBODY_THERE | _NO_ROOM


def _passes(error: BaseException, again: bool) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if _lost(error):
        return again or not _committing(error)
    return _code(error) in (_DEADLOCK, _LOCK_WAIT)


def _code(error: DBAPIError) -> int | None:
    """MySQL's number of an error; SQLite's errors have none."""
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _lost(error: DBAPIError) -> bool:
    return _code(error) in _LOST


def _committing(error: DBAPIError) -> bool:
    # An error of a statement names it: what was not committed by then never is. One of connecting had no connection.
    return error.statement is None and error.connection_invalidated
