"""How tests wait: for a condition, with a deadline; never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

EVERY = 0.05


def eventually(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """The first answer of `condition` that is true. Raises AssertionError with the last one after `seconds`.

    An AssertionError in the condition counts as "not yet".
    """
    until = time.monotonic() + seconds
    while True:
        last: object
        try:
            answer = condition()
        except AssertionError as error:
            last = error
        else:
            if answer:
                return answer
            last = answer
        if time.monotonic() > until:
            raise AssertionError(f"not so within {seconds:g} s; at last: {last!r}")
        time.sleep(EVERY)
