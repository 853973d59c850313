"""docs/faults.md from the rows that the tests of faults wrote."""

from pathlib import Path
from typing import Any

import pytest

from tests.servers import table

MACHINE = {"cores": 2, "processor": "A processor", "memory_gib": 4.0, "system": "Linux 6", "python": "3.11.7"}


def _row(fault: str, commit: str = "abc", **more: Any) -> dict[str, Any]:
    return {
        "fault": fault,
        "commit": commit,
        "machine": MACHINE,
        "lasted": 3.0,
        "answers": {"200": 7, "503": 2},
        "refused": {"cart": 2},
        "median": 0.05,
        "longest": {"cart": 0.2, "checkout": 5.13},
        "went_on": ["cart"],
        "normal_after": 1.0,
        "settled_after": 2.0,
        "lost": 0,
        "twice": 0,
        "hanging": 0,
        "load": 4.0,
        "failed": [],
        **more,
    }


def test_the_newest_row_of_each_fault_is_shown() -> None:
    rows = [_row("kafka: killed", failed=["x"]), _row("redis: killed"), _row("kafka: killed", lasted=4.0)]
    shown = [line for line in table.page(rows).splitlines() if "killed" in line]
    rest = "200 × 7, 503 × 2 | 0.05 s, 5.1 s (checkout) | cart × 2 | 0 | cart | 1.0 s | 2.0 s | 0, 0, 0 | 4.0 |"
    assert shown == [f"| kafka: killed | 4.0 s | {rest}", f"| redis: killed | 3.0 s | {rest}"]


def test_waits_that_are_too_long_are_told_by_what_was_asked_for() -> None:
    told = table.page([_row("a", longest={"cart": 6.01, "orders": 5.99, "checkout": 10.2}), _row("b")])
    assert told.endswith("## What is not good yet: waits of more than 6 s\n\n- a: cart 6.0 s, checkout 10.2 s\n")


def test_what_failed_and_what_has_no_row_is_named_with_the_reason() -> None:
    rows = [
        _row("kafka: killed", failed=["somebody was told 500"]),
        {"fault": "mysql: its disk full", "not_run": "nothing may be mounted"},
    ]
    told = table.page(rows, ["kafka: killed", "mysql: its disk full", "redis: killed"])
    assert "| kafka: killed (failed) |" in told
    assert "\n- kafka: killed: somebody was told 500\n" in told
    assert told.endswith(
        "## Not run\n\n- redis: killed: not tried yet\n- mysql: its disk full: nothing may be mounted\n"
    )


def test_what_has_a_good_row_of_this_commit_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "commit", lambda _: "abc")
    rows = tmp_path / "faults.jsonl"
    assert not table.has("kafka: killed", rows)
    table.add(_row("kafka: killed", failed=["somebody was told 500"]), rows)
    table.add(_row("kafka: killed", commit="older"), rows)
    table.add({"fault": "kafka: killed", "commit": "abc", "not_run": "it broke off"}, rows)
    assert not table.has("kafka: killed", rows)
    table.add(_row("kafka: killed"), rows)
    assert table.has("kafka: killed", rows)
