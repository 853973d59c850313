"""What holds for all tests: when they are told to end, they tidy up first."""

import signal
import threading
from types import FrameType


def pytest_configure() -> None:
    """SIGTERM ends the tests as Ctrl-C does: fixtures are torn down, so that no shop goes on without its tests."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)


def _end(_: int, frame: FrameType | None) -> None:
    # Once: tearing down takes a while, and a second one must not cut it short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(on_ctrl_c):
        on_ctrl_c(signal.SIGINT, frame)
    else:
        # Shells start what runs in the background with Ctrl-C ignored.
        raise KeyboardInterrupt
