"""The port that records what staff change."""

from typing import NamedTuple, Protocol


class Begun(NamedTuple):
    number: int
    path: str


class StaffLog(Protocol):
    async def begin(self, who: str, method: str, path: str, request_id: str) -> Begun:
        """Returns once it is recorded that `who` is about to change something; raises if it cannot be."""

    async def end(self, change: Begun, status: int) -> None:
        """Records what became of it."""
