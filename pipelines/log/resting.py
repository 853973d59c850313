"""Whether a database that other processes write to has rested lately, told from its file for next to nothing."""

import time
from collections.abc import Callable
from pathlib import Path

RESTS_AFTER = 0.5
LONGEST = 0.5


class Resting:
    """Of an SQLite database in WAL mode: each commit is written to the file beside it. `file` None: it never rests.

    A reader may spare itself a look while it rests, but not for more than `LONGEST` seconds: what is written can become
    visible later than the file changes, and two writes of one moment can leave it looking the same.
    """

    def __init__(self, file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._written = None if file is None else Path(f"{file}-wal")
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._changed_at = clock()

    def __call__(self) -> bool:
        """No change was seen for `RESTS_AFTER` seconds."""
        if self._written is None:
            return False
        try:
            status = self._written.stat()
        except OSError:
            return False
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp, self._changed_at = stamp, self._clock()
        return self._clock() - self._changed_at >= RESTS_AFTER
