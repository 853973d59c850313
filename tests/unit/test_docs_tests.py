"""Every test that a document names is there: found in the syntax of its file, without running anything."""

import ast
import re
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from serve.services import BUILDERS
from serve.tour.consumers import Reads, readers

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("docs/testing.md", "docs/security.md", "docs/asvs.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
BETWEEN = "From one service to the next"
TELLS = {"user": "users", "product": "catalog", "order": "orders", "stock": "orders", "payment": "payments"}
"""The service whose events they are, by kind."""
ROW = re.compile(r"^\|(?!\s*-)(.+)\|$", re.MULTILINE)


@cache
def in_file(path: Path) -> set[str]:
    """Functions by name, methods as Class::name."""
    if not path.exists():
        return set()
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found.update(f"{node.name}::{one.name}" for one in methods)
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def missing(text: str, root: Path) -> list[str]:
    """The tests that a text names and that are not there."""
    return [f"{path}::{name}" for path, name in NAMED.findall(text) if name not in in_file(root / path)]


def rows(text: str) -> list[list[str]]:
    """The cells of its tables' rows, without their heads."""
    found = [[cell.strip() for cell in row.split("|")] for row in ROW.findall(text)]
    return [row for row in found if row[-1].lower() not in ("test", "tests")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    assert missing(text, ROOT) == []
    assert len(NAMED.findall(text)) > 20


def test_every_function_has_a_test() -> None:
    bare = [row[0] for row in rows((ROOT / "docs/testing.md").read_text()) if not NAMED.search(row[-1])]
    assert bare == []


def test_every_requirement_is_shown_by_a_test_or_said_not_to_be_met() -> None:
    found = rows((ROOT / "docs/asvs.md").read_text())
    numbers = [row[0] for row in found]
    assert len(numbers) == len(set(numbers))
    assert [row[0] for row in found if not re.fullmatch(r"[234]\.\d+\.\d+", row[0])] == []
    silent = [
        row[0] for row in found if not NAMED.search(row[-1]) and not row[2].startswith(("not met:", "no test:", "n/a:"))
    ]
    assert silent == []


def consumers() -> dict[str, Reads]:
    """By name, the events that each flow reads, and whoever else reads a log for itself."""
    found = readers()
    for path in (ROOT / "pipelines").glob("*.py"):
        module = import_module(f"pipelines.{path.stem}")
        if reads := getattr(module, "READS", None):
            found[module.NAME] = reads
        assert getattr(module, "NAME", None) in {None, *found}, f"nobody knows what {path.stem} reads"
    return found


def between(text: str) -> list[list[str]]:
    """The rows of the table of events."""
    return [row for row in rows(text.partition(f"## {BETWEEN}\n")[2].partition("\n## ")[0]) if len(row) == 5]


def test_each_event_that_a_flow_consumes_has_its_row() -> None:
    found = Counter(
        (event, told_by, flow.strip("`"))
        for events, told_by, flow, _, _ in between((ROOT / "docs/testing.md").read_text())
        for event in re.findall(r"`(\w+)`", events)
    )
    wanted = Counter(
        (event.__name__, TELLS[kind], flow)
        for flow, reads in consumers().items()
        for kind, events in reads.items()
        for event in events
    )
    assert (sorted(wanted - found), sorted(found - wanted)) == ([], [])


def test_each_event_is_consumed_by_services_that_there_are() -> None:
    table = between((ROOT / "docs/testing.md").read_text())
    by_flow: dict[str, set[str]] = {}
    for _, _, flow, consumed_by, _ in table:
        by_flow.setdefault(flow, set()).add(consumed_by)
    assert [flow for flow, services in by_flow.items() if len(services) > 1] == []
    assert {one for services in by_flow.values() for one in ", ".join(services).split(", ")} == set(BUILDERS)


def test_a_name_of_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(
        "async def test_a(): ...\ndef helper(): ...\nclass TestB:\n    def test_c(self): ...\n"
    )
    text = (
        "`tests/test_x.py::test_a` `tests/test_x.py::TestB::test_c` `tests/test_x.py::helper` `tests/test_y.py::test_a`"
    )
    assert missing(text, tmp_path) == ["tests/test_x.py::helper", "tests/test_y.py::test_a"]
