"""docs/faults.md: a row for each fault, from the file to which the tests of faults write what they saw.

`python -m tests.servers.table ROWS PAGE` writes the page; without arguments those of the project.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import commit, describe

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "docs" / "faults.jsonl"
PAGE = ROOT / "docs" / "faults.md"
VARIABLE = "TROUPE_TEST_FAULTS"
"""Names the file that rows are written to; without it they are only looked at."""

HEAD = """# Faults

What shoppers saw while a server failed under them. Eight bought all the time, two filled carts and one looked
around; each server had a proxy in front of it (toxiproxy). `make faults` runs it all and writes this page; a run that
was broken off goes on where it was. Every row ended with a clean `troupe audit`: nothing lost, nothing done twice,
nothing left hanging.

*Answers*: during the fault and until all was normal again. *Longest*: the longest anybody waited for one answer.
*Normal*: seconds from the end of the fault until somebody bought something with no refusal, within 5 s. *At rest*:
seconds from the end of the load until the audit found nothing under way.
"""
COLUMNS = ("fault", "lasted", "answers", "longest", "went on", "normal", "at rest", "lost", "twice", "hanging")


def place() -> Path | None:
    """Where this run writes its rows."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


def here() -> dict[str, Any]:
    """The commit and the machine of a row."""
    return {"commit": commit(ROOT), "machine": msgspec.to_builtins(describe(ROOT / "docs"))}


def has(fault: str, rows: Path) -> bool:
    """Whether the file has a good row of the fault, of this commit."""
    now = commit(ROOT)
    return any(row["fault"] == fault and row["commit"] == now and not row["failed"] for row in read(rows))


def read(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def add(row: dict[str, Any], rows: Path) -> None:
    with rows.open("a") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def page(rows: Iterable[dict[str, Any]]) -> str:
    """The newest row of each fault, in the order in which they were first run."""
    newest = {row["fault"]: row for row in rows}
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in newest.values():
        machine = row["machine"]
        where = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}"
        by_place.setdefault((row["commit"], where), []).append(row)
    parts = [HEAD]
    for (of, where), found in by_place.items():
        parts.append(f"\n## Commit {of}\n\n{where}; Python {found[0]['machine']['python']}.\n")
        parts.append("| " + " | ".join(COLUMNS) + " |")
        parts.append("|" + "---|" * len(COLUMNS))
        parts.extend("| " + " | ".join(_cells(row)) + " |" for row in found)
    return "\n".join(parts) + "\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    told = ", ".join(f"{status} × {count}" for status, count in row["answers"].items())
    slowest = max(row["longest"].items(), key=lambda one: one[1], default=("nothing", 0.0))
    return (
        row["fault"] + (" (failed)" if row["failed"] else ""),
        f"{row['lasted']:.1f} s",
        told,
        f"{slowest[1]:.1f} s ({slowest[0]})",
        ", ".join(row["went_on"]) or "—",
        f"{row['normal_after']:.1f} s",
        f"{row['settled_after']:.1f} s",
        str(row["lost"]),
        str(row["twice"]),
        str(row["hanging"]),
    )


def main(arguments: list[str]) -> int:
    rows, target = (Path(one) for one in arguments) if arguments else (ROWS, PAGE)
    target.write_text(page(read(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
