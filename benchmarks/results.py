"""What the runner keeps: every round of every cell, as it was measured."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.machine import Machine
from benchmarks.measure import Usage
from benchmarks.samples import Latency, Summary


class Cell(msgspec.Struct, frozen=True, order=True):
    """One scenario with so many clients."""

    scenario: str
    clients: int


class Measured(msgspec.Struct):
    """One round of one cell against one target."""

    target: str
    cell: Cell
    round: int
    summary: Summary
    usage: dict[str, Usage]


class Results(msgspec.Struct):
    """A whole run. `missing` says of targets that were asked for and not measured why not."""

    began: str
    seconds: float
    machine: Machine
    targets: list[str]
    rounds: list[Measured]
    missing: dict[str, str] = {}

    def of(self, target: str, cell: Cell) -> "Rounds | None":
        """All rounds of a cell against a target; None if there were none."""
        found = [one for one in self.rounds if one.target == target and one.cell == cell]
        return Rounds(found) if found else None

    def cells(self, scenario: str) -> list[Cell]:
        """The cells of a scenario, by clients."""
        return sorted({one.cell for one in self.rounds if one.cell.scenario == scenario})

    def scenarios(self) -> list[str]:
        """What was driven, in the order in which it was."""
        return list(dict.fromkeys(one.cell.scenario for one in self.rounds))


class Rounds:
    """The rounds of one cell against one target, as one number each: the median, or a sum over the rounds."""

    def __init__(self, rounds: Sequence[Measured]) -> None:
        self._rounds = rounds

    @property
    def rates(self) -> list[float]:
        """Done a second, by round."""
        return [one.summary.rate for one in self._rounds]

    @property
    def rate(self) -> float:
        """The median round's."""
        return statistics.median(self.rates)

    def latency(self, step: str) -> Latency | None:
        """Medians over the rounds of each percentile; the worst of all."""
        found = [one.summary.steps[step] for one in self._rounds if step in one.summary.steps]
        if not found:
            return None
        p50, p90, p99 = (statistics.median(getattr(one, name) for one in found) for name in ("p50", "p90", "p99"))
        return Latency(sum(one.count for one in found), p50, p90, p99, max(one.worst for one in found))

    @property
    def errors(self) -> dict[str, int]:
        """Of all rounds, by kind."""
        kinds: dict[str, int] = {}
        for one in self._rounds:
            for kind, count in one.summary.errors.items():
                kinds[kind] = kinds.get(kind, 0) + count
        return kinds

    @property
    def done(self) -> int:
        """Of all rounds."""
        return sum(one.summary.done for one in self._rounds)

    @property
    def cpu(self) -> dict[str, float]:
        """CPU milliseconds for each thing done, by name of process, over all rounds; empty if nothing was done."""
        spent: dict[str, float] = {}
        for one in self._rounds:
            for name, usage in one.usage.items():
                spent[name] = spent.get(name, 0.0) + usage.cpu * 1_000
        return {name: cpu / self.done for name, cpu in spent.items()} if self.done else {}

    @property
    def rss(self) -> dict[str, int]:
        """Resident bytes by name of process, the largest of the rounds."""
        most: dict[str, int] = {}
        for one in self._rounds:
            for name, usage in one.usage.items():
                most[name] = max(most.get(name, 0), usage.rss)
        return most


def ratio(ours: float, theirs: float) -> str:
    """How many times as much, as a table shows it."""
    return f"{ours / theirs:.2f}×" if theirs else "–"
