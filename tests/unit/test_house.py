"""Rules of the house that no linter knows: where time and chance come from, what names say, what documents promise."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from serve.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "serve", "pipelines", "benchmarks", "deploy", "tests")
# Everything else in actors/ gets the clock, randomness and waiting through a port, so that a simulation can stand in.
REAL_PORTS = (ROOT / "actors/runtime/clock.py", ROOT / "actors/runtime/on_ray")
UNPREDICTABLE = {"time", "random", "uuid", "uuid_utils", "secrets", "datetime"}
UNPREDICTABLE_CALLS = {"asyncio.sleep", "os.urandom", "hash"}
# kinds.py hands the rules to the runtime; all other modules beside it are rules.
RULES = sorted(path for path in (ROOT / "actors").glob("*.py") if path.name not in ("__init__.py", "kinds.py"))
PURE = {"collections", "dataclasses", "enum", "hashlib", "msgspec", "typing", "itertools", "functools", "operator"}
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|<(?:img|source)[^>]+src=\"([^\"]+)\"")
SAYS_NOTHING = re.compile(r"(.*_)?(utils?|helpers?|common|managers?)")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def documents() -> list[Path]:
    """Every Markdown file of the project; a shop's data and what hides behind a dot (.venv) are not looked into."""
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name != "data"]
    nested = [path for top in tops if top.is_dir() for path in top.rglob("*.md")]
    return sorted([path for path in tops if path.suffix == ".md"] + nested)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, and every name from it: ``from a import b`` gives a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unpredictable(source: str) -> list[str]:
    """What in a source depends on the machine's clocks, on chance or on the process."""
    tree = ast.parse(source)
    found = [name for name in imported(tree) if name.partition(".")[0] in UNPREDICTABLE or name in UNPREDICTABLE_CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNPREDICTABLE_CALLS:
            found.append(ast.unparse(node.func))
    return sorted(set(found))


def impure(source: str) -> list[str]:
    """What in a rule does more than compute."""
    tree = ast.parse(source)
    own = {f"actors.{path.stem}" for path in RULES}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] not in PURE]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "actors":
                found += [f"actors.{one.name}" for one in node.names if f"actors.{one.name}" not in own]
            elif module not in own and module.partition(".")[0] not in PURE:
                found.append(module)
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            found.append(type(node).__name__)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input", "exec", "eval"):
            found.append(ast.unparse(node.func))
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["time"]),
        ("from time import monotonic", ["time", "time.monotonic"]),
        ("import datetime\nnow = datetime.datetime.now()", ["datetime"]),
        ("import asyncio\nasync def f():\n    await asyncio.sleep(1)", ["asyncio.sleep"]),
        ("from asyncio import sleep", ["asyncio.sleep"]),
        ("import os\nos.urandom(8)", ["os.urandom"]),
        ("shard = hash('id') % 64", ["hash"]),
        ("from hashlib import sha256\ntime = clock.now()\nself.time.now()\nhashed(1)", []),
    ],
)
def test_what_depends_on_the_machine_is_found(source: str, found: list[str]) -> None:
    assert unpredictable(source) == found


def test_time_and_chance_reach_the_actors_through_ports_only() -> None:
    for path in python_files("actors"):
        if not any(path.is_relative_to(real) for real in REAL_PORTS):
            assert (path, unpredictable(path.read_text())) == (path, [])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import asyncio", ["asyncio"]),
        ("from actors.runtime.kind import Kind", ["actors.runtime.kind"]),
        ("from actors import kinds", ["actors.kinds"]),
        ("from serve.settings import Settings", ["serve.settings"]),
        ("async def decide(): pass", ["AsyncFunctionDef"]),
        ("print('sold')", ["print"]),
        ("from actors import cart\nfrom actors.decision import Done\nimport msgspec", []),
    ],
)
def test_what_is_no_rule_is_found(source: str, found: list[str]) -> None:
    assert impure(source) == found


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_only_compute(path: Path) -> None:
    assert impure(path.read_text()) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    stems = {path.stem: path for path in python_files(*PACKAGES)}
    folders = {folder.name: folder for path in stems.values() for folder in path.relative_to(ROOT).parents}
    assert [path for name, path in {**stems, **folders}.items() if SAYS_NOTHING.fullmatch(name)] == []


def test_no_module_of_ours_is_imported_by_a_name_that_says_nothing() -> None:
    for path in python_files(*PACKAGES):
        ours = [name for name in imported(ast.parse(path.read_text())) if name.partition(".")[0] in PACKAGES]
        assert [(path, name) for name in ours for part in name.split(".") if SAYS_NOTHING.fullmatch(part)] == []


def links(text: str) -> list[str]:
    """The targets of a document's links and pictures; what stands in code is no link."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return [one or other for one, other in LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """The anchors that a page gets for its headings."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    broken = []
    for link in links(path.read_text()):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        there = (path.parent / target).resolve() if target else path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there.read_text())):
            broken.append(link)
    return broken


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# What is here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#what-is-here) [c](https://example.com/x) `[d](code.md)`\n"
        '[e](gone.md) [f](there.md#not-here) <img alt="" src="gone.svg">\n'
    )
    assert broken_links(page) == ["gone.md", "there.md#not-here", "gone.svg"]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_local_link_leads_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "docs/adr").glob("*.md"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def first_column(heading: str) -> list[str]:
    """The code in the first column of the tables under a heading of the README."""
    section = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)


def commands(command: Any, name: str) -> Iterator[str]:
    if not isinstance(command, click.Group) and not hasattr(command, "commands"):
        yield name
        return
    for child, one in command.commands.items():
        if one.hidden:  # another name, from before
            continue
        yield from commands(one, f"{name} {child}")


def test_the_readme_has_every_command_and_no_other() -> None:
    named = [re.split(r" (?=[A-Z\[-])", usage)[0] for usage in first_column("Commands")]
    assert sorted(named) == sorted(commands(typer.main.get_command(app), "troupe"))
