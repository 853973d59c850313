"""What a run of load is made of, and the numbers that describe it."""

import math
import time
from collections import Counter
from collections.abc import Sequence

import msgspec


def percentile(ordered: Sequence[float], q: float) -> float:
    """The q-th percentile (0 to 100) of values in rising order, by linear interpolation. Raises ValueError if none."""
    if not ordered:
        raise ValueError("no values")
    place = (len(ordered) - 1) * q / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class Run(msgspec.Struct):
    """What one process of the load generator saw inside its window. Latencies in milliseconds, by step."""

    seconds: float
    latencies: dict[str, list[float]]
    errors: dict[str, int]


class Latency(msgspec.Struct):
    """Milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    worst: float


class Summary(msgspec.Struct):
    """A run in numbers; `rate` is done things (the scenario's own step) a second."""

    done: int
    rate: float
    steps: dict[str, Latency]
    errors: dict[str, int]


def summarise(runs: Sequence[Run], step: str) -> Summary:
    """Puts processes that ran side by side together; `step` is what the scenario counts. Raises ValueError if none."""
    if not runs:
        raise ValueError("no runs")
    steps = {}
    for name in sorted({name for run in runs for name in run.latencies}):
        values = sorted(value for run in runs for value in run.latencies.get(name, ()))
        if values:
            p50, p90, p99 = (percentile(values, q) for q in (50, 90, 99))
            steps[name] = Latency(len(values), p50, p90, p99, values[-1])
    rate = sum(len(run.latencies.get(step, ())) / run.seconds for run in runs)
    errors: Counter[str] = Counter()
    for run in runs:
        errors.update(run.errors)
    return Summary(steps[step].count if step in steps else 0, rate, steps, dict(errors.most_common()))


class Recorder:
    """Keeps what ends inside the window: warm-up and what is cut off at the end count for nothing."""

    def __init__(self) -> None:
        self._latencies: dict[str, list[float]] = {}
        self._errors: Counter[str] = Counter()
        self._opened: float | None = None
        self._closed: float | None = None

    def open(self) -> None:
        """The window begins now."""
        self._opened = time.perf_counter()

    def close(self) -> None:
        """The window ends now."""
        self._closed = time.perf_counter()

    def done(self, step: str, began: float) -> None:
        """A step that began at `began` (perf_counter seconds) has ended well."""
        if self._opened is not None and self._closed is None:
            self._latencies.setdefault(step, []).append((time.perf_counter() - began) * 1_000)

    def failed(self, kind: str) -> None:
        """Something ended badly."""
        if self._opened is not None and self._closed is None:
            self._errors[kind] += 1

    def run(self) -> Run:
        """What was seen. Raises ValueError while the window is open."""
        if self._opened is None or self._closed is None:
            raise ValueError("the window was not opened and closed")
        return Run(self._closed - self._opened, self._latencies, dict(self._errors))
