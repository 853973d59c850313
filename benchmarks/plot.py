"""Results as a picture: `python -m benchmarks.plot RESULTS.json` draws beside it, and so does the runner."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from benchmarks.load import STEPS
from benchmarks.results import Results

COLOURS = ("#7a8793", "#c98a2b", "#1f6f8b", "#7b4fa3")


def draw(results: Results, path: Path) -> None:
    """Writes a PNG: done a second (with the spread of the rounds), p50 latency and CPU time, against clients."""
    import matplotlib as mpl  # here: half a second that only a picture is worth

    mpl.use("Agg")
    from matplotlib import pyplot

    scenarios = [name for name in results.scenarios() if name != "order500"]
    if not scenarios:
        return
    figure, grid = pyplot.subplots(
        3, len(scenarios), figsize=(4.2 * len(scenarios), 9), squeeze=False, layout="constrained"
    )
    for column, scenario in enumerate(scenarios):
        for target, colour in zip(results.targets, COLOURS * len(results.targets), strict=False):
            _curve(results, scenario, target, colour, [row[column] for row in grid])
        for row, name in enumerate((f"{STEPS[scenario]}s a second", "p50, ms", "CPU ms each")):
            axes = grid[row][column]
            axes.set_ylabel(name)
            axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
            axes.set_xscale("log", base=2)
            clients = [cell.clients for cell in results.cells(scenario)]
            axes.set_xticks(clients, [str(number) for number in clients])
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.25)
        grid[0][column].set_title(scenario)
        grid[2][column].set_xlabel("clients")
    grid[0][0].legend(frameon=False)
    machine = results.machine
    figure.suptitle(f"{results.began}, commit {machine.commit}, {machine.processor}, {machine.cores} cores", fontsize=9)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _curve(results: Results, scenario: str, target: str, colour: str, axes: list[Any]) -> None:
    cells = [
        (cell.clients, rounds) for cell in results.cells(scenario) if (rounds := results.of(target, cell)) is not None
    ]
    if not cells:
        return
    clients = [number for number, _ in cells]
    axes[0].plot(clients, [rounds.rate for _, rounds in cells], "o-", color=colour, label=target)
    axes[0].fill_between(
        clients,
        [min(rounds.rates) for _, rounds in cells],
        [max(rounds.rates) for _, rounds in cells],
        color=colour,
        alpha=0.15,
    )
    timed = [
        (number, latency.p50) for number, rounds in cells if (latency := rounds.latency(STEPS[scenario])) is not None
    ]
    axes[1].plot([number for number, _ in timed], [p50 for _, p50 in timed], "o-", color=colour)
    spent = [(number, sum(rounds.cpu.values())) for number, rounds in cells if rounds.cpu]
    axes[2].plot([number for number, _ in spent], [cpu for _, cpu in spent], "o-", color=colour)


def main(results: Annotated[Path, typer.Argument(help="A results file of the runner.")]) -> None:
    """Draws results again."""
    draw(msgspec.json.decode(results.read_bytes(), type=Results), results.with_suffix(".png"))


if __name__ == "__main__":
    typer.run(main)
