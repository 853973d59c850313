"""What one stop of a tour set going, once it is quiet again."""

import time
from typing import NamedTuple

from pipelines.log.base import Happened
from serve.tour.caller import Called
from serve.tour.causes import Causes, Hop
from serve.tour.consumers import have_read, readers, still_to_read
from serve.tour.trail import JOURNAL, Mail, Trail

QUIET_SECONDS = 15.0
LOOK_EVERY = 0.1
USERS = "users"


class Told(NamedTuple):
    """An event of a service that is tables."""

    service: str
    happened: Happened


class Stop(NamedTuple):
    """`read`: by event id, the flows that are done with the event. `says`: what the shopper sees of it."""

    title: str
    calls: list[Called]
    hops: list[Hop]
    told: list[Told]
    read: dict[str, list[str]]
    mails: list[Mail]
    says: str


class Looking:
    """Follows the shop's logs from where they ended when it was made."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._read_to = trail.end(JOURNAL)
        self._users_to = trail.end(USERS)
        self._flows = readers()
        self.causes = Causes(lambda: self._trail.reached().positions)

    def stop(self, title: str, calls: list[Called], user: str, says: str) -> Stop:
        """What came of the calls. Waits until it has all arrived and was read, but not for ever."""
        hops: list[Hop] = []
        told: list[Told] = []
        until = time.monotonic() + QUIET_SECONDS
        while True:
            new = self._new_hops(), self._newly_told(user)
            hops += new[0]
            told += new[1]
            events = [happened for hop in hops for happened in hop.record.events] + [one.happened for one in told]
            reached = self._trail.reached()
            busy = any(new) or self.causes.waiting or any(still_to_read(e, self._flows, reached) for e in events)
            if not busy or time.monotonic() > until:
                break
            time.sleep(LOOK_EVERY)
        read = {happened.id: have_read(happened, self._flows, reached) for happened in events}
        return Stop(title, calls, hops, told, read, self._trail.mails_of(list(read)), says)

    def _new_hops(self) -> list[Hop]:
        records = self._trail.records(self._read_to)
        if records:
            self._read_to = records[-1].position
        return self.causes.take(records)

    def _newly_told(self, user: str) -> list[Told]:
        rows = self._trail.outbox(USERS, self._users_to)
        if rows:
            self._users_to = rows[-1].position
        mine = [happened for happened in rows if happened.entity == user]
        self.causes.tell(mine)
        return [Told(USERS, happened) for happened in mine]
