"""The services' clock. Entities get the time passed in; only what speaks HTTP reads it here."""

import time


def now_ms() -> int:
    """UTC, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds on a clock that never jumps; for measuring how long something took."""
    return time.monotonic()
