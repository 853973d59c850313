"""A host's right to serve reads: a lease in the journal's database, renewed while the host is well.

Writes need no lease, they are fenced by the journal itself. A read is only as good as the certainty that no newer
incarnation has written since, and that is what the lease buys: a new owner waits until the old one's has run out.
"""

import logging
from collections.abc import Callable

from actors.journal.base import Journal
from actors.runtime.limits import Limits
from actors.runtime.parts import DatabaseTime
from actors.runtime.ports import Clock

_log = logging.getLogger("troupe.runtime")

Revoked = tuple[str, int, int]


class HostLease:
    """`revoked` hears of the shards that another host has taken, before the renewal counts."""

    def __init__(
        self,
        owner: str,
        journal: Journal,
        clock: Clock,
        limits: Limits,
        time: DatabaseTime,
        revoked: Callable[[tuple[Revoked, ...]], None],
    ) -> None:
        self.owner = owner
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._time = time
        self._revoked = revoked
        self._heard: tuple[Revoked, ...] = ()
        self._until = 0.0
        self.last = clock.monotonic()

    def valid(self) -> bool:
        return self._clock.monotonic() < self._until

    async def renew(self) -> None:
        """Raises JournalUnavailable. Counted from when it was asked, so that it never outlasts the database's word."""
        asked = self._clock.monotonic()
        lease = await self._journal.renew(self.owner, self._limits.lease_ms, self._heard)
        self._time.learn(lease.now, asked)
        # A revocation is told until it was heard: only the next renewal takes it out of the database.
        self._heard = lease.revoked
        if lease.revoked:
            self._revoked(lease.revoked)
        self._until = max(self._until, asked + self._limits.lease_ms / 1000)
        self.last = asked

    async def run(self) -> None:
        """Renews for as long as the host lives; ends when there was no lease for too long."""
        while True:
            await self._clock.sleep(self._limits.renewal)
            try:
                await self.renew()
            except Exception as error:
                # Whatever it is: without the next try the host would never serve a read again.
                _log.warning("the lease could not be renewed: %r", error)
                if self._clock.monotonic() - self.last > self._limits.lost_lease:
                    return

    async def end(self) -> None:
        """After everything was released in order."""
        self._until = 0.0
        await self._journal.end_lease(self.owner)
