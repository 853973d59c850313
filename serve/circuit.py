"""A server that is away costs a few calls their deadline, and the others nothing."""

import logging
import time
from collections.abc import Callable

from prometheus_client import Gauge

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0

UP = Gauge("troupe_server_up", "1 while the server answers this process, 0 while it is done without.", ["server"])
log = logging.getLogger("troupe.servers")


class Circuit:
    """Whether to try a server. After failures nobody does for a while; then one call does, and decides for all.

    `failures`: so many in a row. For one event loop or one thread.
    """

    def __init__(self, server: str, *, failures: int = 3, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._failures = failures
        self._failed = 0
        self._now = monotonic
        self._pause = FIRST_PAUSE
        self._up = True
        self._try_at = 0.0
        UP.labels(server).set(1)

    @property
    def up(self) -> bool:
        return self._up

    def may_try(self) -> bool:
        """Whoever is told so calls the server, and then `worked` or `failed`. While it is away few are told so."""
        if self._up:
            return True
        now = self._now()
        if now < self._try_at:
            return False
        self._try_at = now + self._pause
        return True

    def worked(self) -> None:
        self._failed = 0
        if not self._up:
            self._up = True
            self._pause = FIRST_PAUSE
            UP.labels(self._server).set(1)
            log.warning("%s answers again", self._server)

    def failed(self) -> None:
        self._failed += 1
        if self._failed < self._failures:
            return
        if self._up:
            self._up = False
            UP.labels(self._server).set(0)
            log.warning("%s does not answer; it is done without until it does", self._server)
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._try_at = self._now() + self._pause
