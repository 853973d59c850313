"""Every request has an id: the caller's, if it is a sensible one, else a new one. Logs and answers carry it."""

import random
import re
from contextvars import ContextVar

current: ContextVar[str] = ContextVar("request_id", default="")
_SENSIBLE = re.compile(rb"[A-Za-z0-9._-]{8,128}").fullmatch


def request_id(sent: bytes | None) -> str:
    """The id for a request that came with `sent` in X-Request-Id."""
    if sent is not None and _SENSIBLE(sent):
        return sent.decode("ascii")
    # It grants nothing, so it need not cost a call to the system.
    return f"{random.getrandbits(96):024x}"
