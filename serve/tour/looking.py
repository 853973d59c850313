"""What one stop of a tour set going, once it is quiet again."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipelines.log.base import Happened
from serve.tour.caller import Called
from serve.tour.causes import Causes, Hop
from serve.tour.consumers import have_read, readers, still_to_read
from serve.tour.products import Indexed
from serve.tour.records import Stored
from serve.tour.trail import Mail, Trail

QUIET_SECONDS = 15.0
LOOK_EVERY = 0.1
USERS = "users"


class Told(NamedTuple):
    """An event of a service that is tables. `home`: where its row stands."""

    home: str
    happened: Happened


class Stop(NamedTuple):
    """`read`: by event id, the flows that are done with the event. `says`: what the shopper sees of it.

    `places`: by event id, where it stands that flows read. `indexed`: what Elasticsearch has of the products found.
    """

    title: str
    calls: list[Called]
    hops: list[Hop]
    told: list[Told]
    read: dict[str, list[str]]
    mails: list[Mail]
    says: str
    places: Mapping[str, str] = {}
    indexed: Sequence[Indexed] = ()


class Looking:
    """Follows the shop's logs from where they ended when it was made."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        trail.skip(USERS)
        self._unexplained: list[tuple[float, Stored]] = []
        self._flows = readers()
        self.causes = Causes(lambda: self._trail.reached().flows, trail.place)

    def stop(self, title: str, calls: list[Called], user: str, says: str, skus: Sequence[str] = ()) -> Stop:
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
            to_come = [e for e in events if reached.place(e) is None or still_to_read(e, self._flows, reached)]
            busy = any(new) or self.causes.waiting or to_come
            if not busy or time.monotonic() > until:
                break
            time.sleep(LOOK_EVERY)
        read = {happened.id: have_read(happened, self._flows, reached) for happened in events}
        places = {happened.id: place.text for happened in events if (place := self._trail.place(happened))}
        mails, indexed = self._trail.mails_of(list(read)), self._trail.indexed(skus)
        return Stop(title, calls, hops, told, read, mails, says, places, indexed)

    def _new_hops(self) -> list[Hop]:
        """Also those that were seen before what they follow from, which may stand in another journal."""
        now = time.monotonic()
        self._unexplained = [one for one in self._unexplained if now - one[0] < QUIET_SECONDS]
        self._unexplained += [(now, record) for record in self._trail.records()]
        hops: list[Hop] = []
        while found := self.causes.take([record for _, record in self._unexplained]):
            hops += found
            explained = {id(hop.record) for hop in found}
            self._unexplained = [one for one in self._unexplained if id(one[1]) not in explained]
        return hops

    def _newly_told(self, user: str) -> list[Told]:
        mine = [happened for happened in self._trail.told(USERS) if happened.entity == user]
        self.causes.tell(mine)
        return [Told(self._trail.home(USERS), happened) for happened in mine]
