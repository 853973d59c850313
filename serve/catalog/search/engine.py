"""What keeps the engine's ways from the rest of the program."""

from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def without_panic(work: Callable[[], Answer]) -> Answer:
    """What `work` answers. A panic of the engine, which is no `Exception` and would end tasks, becomes RuntimeError."""
    try:
        return work()
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"the search engine gave up: {error}") from None
