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
from tests.servers.faults import EVERY

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "docs" / "faults.jsonl"
PAGE = ROOT / "docs" / "faults.md"
VARIABLE = "TROUPE_TEST_FAULTS"
"""Names the file that rows are written to; without it they are only looked at."""

HEAD = """# Faults

What shoppers saw while a server failed under them: eight bought all the time, two filled carts and one looked around,
and whoever was refused asked again with the same key. One shop on Ray, on the servers that `deploy/servers` brings:
MySQL of Debian's sid, MongoDB 6.0, Redis 7.0, Kafka 4.4 and Elasticsearch 8.14, one of each, all on one machine, with a
proxy (toxiproxy) in front of each; the clusters of three had none, nor the databases whose disks were filled (512 MiB
each, in memory). *stripe* is a process that speaks Stripe's wire interface and has its state; behind *Envoy* the shop
is on two Ray nodes of one machine; both had MySQL and Redis only. For the faults of *ses* the shop had MySQL and Kafka
only, and a stand-in with SES's interface, and each row also means that every mail went out, none more than twice. Every
row that does not say *failed* ended with a clean `troupe audit` (and `troupe reconcile`, with Stripe) and with each
order, each cart and each payment as its shopper had been told.

`make faults` starts all that it needs, runs the whole table and writes this page from `docs/faults.jsonl`; a run that
was broken off goes on where it was. One row: `.venv/bin/python -m pytest -m faults tests/servers -k "black and mysql"`.

*Answers*: during the fault and until all was normal again. *Wait*: of all answers the median, and the longest with what
was asked for; a checkout waits up to 5 s for its order by itself. *Refused*: 503 with Retry-After, by what was asked
for. *Queued*: orders that were taken (202) and went on by themselves. *Went on*: what was answered as ever all the
time; a row fails where it was not. *Normal*: seconds from the end of the fault until somebody bought something with no
refusal, within 5 s. *At rest*: seconds from the end of the load until the audit found nothing under way. *Lost, twice,
hanging*: of orders, carts, payments and stock. *Load*: the machine's, over the minute of the fault, with all else that
ran there.
"""
SLOW_SECONDS = 6.0
"""A checkout answers within five by itself: who waits longer than this waits for a server that is away."""
COLUMNS = (
    "fault",
    "lasted",
    "answers",
    "wait",
    "refused",
    "queued",
    "went on",
    "normal",
    "at rest",
    "lost, twice, hanging",
    "load",
)


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
    mine = [row for row in read(rows) if row["fault"] == fault and row["commit"] == now]
    return any("not_run" not in row and not row["failed"] for row in mine)


def read(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def add(row: dict[str, Any], rows: Path) -> None:
    with rows.open("a") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def not_run(fault: str, why: str, rows: Path | None) -> None:
    """Notes that there is no row, and the reason."""
    if rows is not None:
        add(here() | {"fault": fault, "not_run": why}, rows)


def page(rows: Iterable[dict[str, Any]], wanted: Iterable[str] = ()) -> str:
    """The newest row of each fault, in the order of `wanted`, which there should be; others first."""
    newest = {row["fault"]: row for row in rows}
    order = {name: number for number, name in enumerate(wanted)}
    newest = dict(sorted(newest.items(), key=lambda item: order.get(item[0], -1)))
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in newest.values():
        if "not_run" in row:
            continue
        machine = row["machine"]
        where = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}"
        by_place.setdefault((row["commit"], where), []).append(row)
    parts = [HEAD]
    for (of, where), found in by_place.items():
        parts.append(f"\n## Commit {of}\n\n{where}; Python {found[0]['machine']['python']}.\n")
        parts.append("| " + " | ".join(COLUMNS) + " |")
        parts.append("|" + "---|" * len(COLUMNS))
        parts.extend("| " + " | ".join(_cells(row)) + " |" for row in found)
        failed = [f"- {row['fault']}: {told}" for row in found for told in row["failed"]]
        parts.extend(["\nWhy those failed that did:\n", *failed] if failed else [])
    slow = {row["fault"]: told for found in by_place.values() for row in found if (told := _slow(row))}
    if slow:
        parts.append(f"\n## What is not good yet: waits of more than {SLOW_SECONDS:.0f} s\n")
        parts.extend(f"- {fault}: {told}" for fault, told in slow.items())
    missing = {name: "not tried yet" for name in order if name not in newest}
    missing |= {row["fault"]: row["not_run"] for row in newest.values() if "not_run" in row}
    if missing:
        parts.append("\n## Not run\n")
        parts.extend(f"- {name}: {why}" for name, why in missing.items())
    return "\n".join(parts) + "\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    slowest = max(row["longest"].items(), key=lambda one: one[1], default=("nothing", 0.0))
    return (
        row["fault"] + (" (failed)" if row["failed"] else ""),
        f"{row['lasted']:.1f} s",
        _told(row["answers"]),
        f"{row['median']:.2f} s, {slowest[1]:.1f} s ({slowest[0]})",
        _told(row["refused"]),
        str(row["answers"].get("202", 0)),
        ", ".join(row["went_on"]) or "—",
        f"{row['normal_after']:.1f} s",
        f"{row['settled_after']:.1f} s",
        f"{row['lost']}, {row['twice']}, {row['hanging']}",
        f"{row['load']:.1f}",
    )


def _slow(row: dict[str, Any]) -> str:
    waits = {what: seconds for what, seconds in row["longest"].items() if seconds > SLOW_SECONDS}
    return ", ".join(f"{what} {seconds:.1f} s" for what, seconds in waits.items())


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} × {count}" for what, count in counts.items()) or "—"


def main(arguments: list[str]) -> int:
    rows, target = (Path(one) for one in arguments) if arguments else (ROWS, PAGE)
    target.write_text(page(read(rows), [fault.name for fault in EVERY]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
