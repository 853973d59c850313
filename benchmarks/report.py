"""Results as a page of Markdown tables."""

from collections.abc import Iterable

from benchmarks.load import STEPS
from benchmarks.results import Cell, Results, Rounds, ratio

TITLES = {
    "cart": "Cart commands: adds of fresh guests",
    "journey": "Journeys: two adds of a fresh guest and a checkout to confirmed",
    "hot": "One hot SKU: journeys that all buy the same product",
    "order500": "One order of 500 lines",
}
NONE = "–"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    names = list(head)
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(results: Results, plot: str | None = None) -> str:
    """The whole page; `plot` is the name of the picture's file."""
    parts = [f"# Benchmark of {results.began}", _machine(results)]
    parts += [f"**Not measured: {name}.** {why}" for name, why in results.missing.items()]
    if plot is not None:
        parts.append(f"![Requests a second and CPU time]({plot})")
    for scenario in results.scenarios():
        parts.append(f"## {TITLES[scenario]}")
        if scenario != "order500":  # one client, and most of its time goes into filling the cart
            parts.append(_rates(results, scenario))
        parts.append(_latencies(results, scenario))
        if scenario != "order500":
            parts.append(_cpu(results, scenario))
        if errors := _errors(results, scenario):
            parts.append(errors)
    parts += ["## Memory", _memory(results)]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"Commit {machine.commit}; {machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB, "
        f"{machine.system}, Python {machine.python}; a write of 4 KiB with fsync takes {machine.fsync_ms:g} ms; "
        f"load average before {machine.load_before:g}; {versions}. "
        f"The load generator ran on the same machine. Windows of {results.seconds:g} s; "
        f"a cell is the median of its rounds, with the lowest and the highest."
    )


def _rates(results: Results, scenario: str) -> str:
    """Done a second by clients and target, and how the last target compares with each before it."""
    *others, last = results.targets
    head = ["clients", *(f"{name} /s" for name in results.targets), *(f"{last} : {name}" for name in others)]

    def rows() -> Iterable[list[str]]:
        for cell in results.cells(scenario):
            found = {name: results.of(name, cell) for name in results.targets}
            ours = found[last]
            yield [
                str(cell.clients),
                *(_rate(rounds) for rounds in found.values()),
                *(
                    NONE if ours is None or (one := found[name]) is None else ratio(ours.rate, one.rate)
                    for name in others
                ),
            ]

    return table(head, rows())


def _rate(rounds: Rounds | None) -> str:
    if rounds is None:
        return NONE
    low, high = min(rounds.rates), max(rounds.rates)
    spread = f" ({low:,.1f}–{high:,.1f})" if len(rounds.rates) > 1 else ""
    return f"{rounds.rate:,.1f}{spread}"


def _latencies(results: Results, scenario: str) -> str:
    head = ["clients", "target", "step", "p50 ms", "p90 ms", "p99 ms", "worst ms", "errors"]
    steps = dict.fromkeys([STEPS[scenario], "add", "checkout"]) if scenario != "order500" else {"checkout": None}

    def rows() -> Iterable[list[str]]:
        for cell, target, rounds in _each(results, scenario):
            for step in steps:
                latency = rounds.latency(step)
                if latency is None:
                    continue
                values = (latency.p50, latency.p90, latency.p99, latency.worst)
                failed = sum(rounds.errors.values()) if step == STEPS[scenario] else ""
                yield [str(cell.clients), target, step, *(f"{value:,.1f}" for value in values), str(failed)]

    return table(head, rows())


def _cpu(results: Results, scenario: str) -> str:
    head = [
        "clients",
        "target",
        f"CPU ms a{'n' if STEPS[scenario][0] in 'aeiou' else ''} {STEPS[scenario]}",
        "by process",
    ]

    def rows() -> Iterable[list[str]]:
        for cell, target, rounds in _each(results, scenario):
            spent = sorted(rounds.cpu.items(), key=lambda one: -one[1])
            total = f"{sum(cpu for _, cpu in spent):.3f}" if spent else NONE
            named = [f"{name} {cpu:.3f}" for name, cpu in spent if cpu >= 0.0005]
            yield [str(cell.clients), target, total, ", ".join(named) or NONE]

    return table(head, rows())


def _errors(results: Results, scenario: str) -> str:
    lines = [
        f"- {target}, {cell.clients} clients: "
        + ", ".join(f"{count} × {kind}" for kind, count in rounds.errors.items())
        for cell, target, rounds in _each(results, scenario)
        if rounds.errors
    ]
    return "Errors:\n\n" + "\n".join(lines) if lines else ""


def _memory(results: Results) -> str:
    def rows() -> Iterable[list[str]]:
        for target in results.targets:
            most: dict[str, int] = {}
            for scenario in results.scenarios():
                for _, name, rounds in _each(results, scenario):
                    if name == target:
                        most |= {key: max(most.get(key, 0), size) for key, size in rounds.rss.items()}
            parts = [f"{name} {size / 2**20:,.0f}" for name, size in sorted(most.items(), key=lambda one: -one[1])]
            yield [target, f"{sum(most.values()) / 2**20:,.0f}", ", ".join(parts) or NONE]

    return table(["target", "MiB resident, at most", "by process"], rows())


def _each(results: Results, scenario: str) -> Iterable[tuple[Cell, str, Rounds]]:
    for cell in results.cells(scenario):
        for target in results.targets:
            rounds = results.of(target, cell)
            if rounds is not None:
                yield cell, target, rounds
