"""The port that records what staff change, and how a change is carried out under it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from serve.gateway import problems
from serve.gateway.principals import Principal


class Begun(NamedTuple):
    number: int
    path: str


class StaffLog(Protocol):
    async def begin(self, who: str, method: str, path: str, request_id: str) -> Begun:
        """Returns once it is recorded that `who` is about to change something; raises if it cannot be."""

    async def end(self, change: Begun, status: int) -> None:
        """Records what became of it."""


class Outcome:
    """How a change by staff ended, once that is known."""

    status = 500


@asynccontextmanager
async def recorded(
    log: StaffLog | None, principal: Principal, method: str, path: str, request_id: str
) -> AsyncIterator[Outcome]:
    """Around a change by staff. When the caller's task is cancelled, nobody knows how it ended."""
    outcome = Outcome()
    if log is None:
        yield outcome
        return
    change = await log.begin(principal.id, method, path, request_id)
    try:
        yield outcome
    except Exception as error:
        await log.end(change, problems.status_of(error))
        raise
    await log.end(change, outcome.status)
