"""How fast a channel sends: never faster than it may, slower while the server says so, not at all while it is away."""

import math

from actors.runtime.ports import Clock
from serve.circuit import Circuit
from serve.notifications.mailer import MailNotSent, ServerAway, Throttled

BUNCH_SECONDS = 0.2
"""What has to wait for its turn goes together this often: together it costs fewer commits than one by one.

Whoever sends at the full rate must have as many messages at work at once as make a bunch."""
LONGEST_WAIT = 5.0
"""For a turn. Who would wait longer comes again later, and keeps no other's place meanwhile."""
FIRST_PAUSE = 1.0
"""After the server asked for less without saying how much, in seconds."""
LONGEST_PAUSE = 60.0
SLOWEST = 1.0
"""Seconds from one message to the next, however often the server complains."""
QUICKER = 0.9
"""After each message that was taken, until the pace is the old one: from the slowest one that takes ten seconds."""


class Pace:
    """`server`: what it is called among those that are up or down. For one event loop."""

    def __init__(self, server: str, per_second: float, clock: Clock) -> None:
        self._clock = clock
        self._least = 1.0 / per_second
        self._interval = self._least
        self._next_at = 0.0
        self._not_before = 0.0
        self._circuit = Circuit(server, monotonic=clock.monotonic)

    @property
    def per_second(self) -> float:
        return 1.0 / self._interval

    def at_most(self, per_second: float) -> None:
        """From now on, if it is less than before."""
        self._least = max(self._least, 1.0 / per_second)
        self._interval = max(self._interval, self._least)

    def check(self) -> None:
        """Raises MailNotSent while nothing should be tried. To be asked before anything is written for a message."""
        if (left := self._not_before - self._clock.monotonic()) > 0:
            raise MailNotSent(f"the server asked for a pause, which lasts another {left:.1f} s")
        if not self._circuit.may_try():
            raise MailNotSent("the server is away")

    async def turn(self) -> None:
        """Returns when it is the caller's turn. Raises MailNotSent if that would take too long."""
        now = self._clock.monotonic()
        at = max(self._next_at, now)
        if at - now > LONGEST_WAIT:
            raise MailNotSent("too many are before it")
        self._next_at = at + self._interval
        if at > now:
            await self._clock.sleep(math.ceil(at / BUNCH_SECONDS) * BUNCH_SECONDS - now)

    def answered(self, error: MailNotSent | None = None) -> None:
        """What became of a message: the server took or refused it (None), or why it did not."""
        if isinstance(error, ServerAway):
            self._circuit.failed()
            return
        self._circuit.worked()
        if isinstance(error, Throttled):
            self._slow_down(error.wish)
        elif error is None:
            self._interval = max(self._least, self._interval * QUICKER)

    def lost(self) -> None:
        """No answer came: after some in a row few try, so that a silent server does not get every message twice."""
        self._circuit.failed()

    def _slow_down(self, wish: float) -> None:
        now = self._clock.monotonic()
        # Those that were under way together are told together, and that is one complaint.
        if now >= self._not_before:
            self._interval = min(2 * self._interval, max(SLOWEST, self._least))
        pause = min(wish or FIRST_PAUSE, LONGEST_PAUSE)
        self._not_before = max(self._not_before, now + pause)
        self._next_at = max(self._next_at, self._not_before)
