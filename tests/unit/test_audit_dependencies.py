"""What pip-audit answers, and what is made of it: nothing that was not audited passes for harmless."""

import json
import subprocess
from typing import Any

import pytest

from deploy.audit_dependencies import judge, main

GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "description": "..."}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1.0)"}


def told(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_what_is_vulnerable_fails_and_is_named() -> None:
    assert judge(1, told(GOOD, BAD, UNKNOWN), "") == (
        1,
        [
            "bad 1.0: PYSEC-1, mended in 1.1",
            "NOT AUDITED: 1 of 3 packages, unknown to the service: unknown",
        ],
    )


def test_nothing_known_passes() -> None:
    assert judge(0, told(GOOD, GOOD), "") == (0, ["2 packages: nothing known against them"])


def test_what_nobody_knows_is_named_and_not_called_harmless() -> None:
    status, lines = judge(0, told(*[UNKNOWN] * 7), "")
    assert (status, lines) == (
        0,
        ["NOT AUDITED: 7 of 7 packages, unknown to the service: unknown, unknown, unknown, unknown, unknown, ..."],
    )


@pytest.mark.parametrize(
    ("status", "answer", "complaint", "line"),
    [
        (
            1,
            "",
            "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\nTip: try another\n",
            "NOT AUDITED: all packages, as the service does not answer: "
            "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
        ),
        (
            1,
            "",
            "ERROR:requirement is not hashed\n",
            "pip-audit failed: ERROR:requirement is not hashed",
        ),
        (
            1,
            "",
            "Traceback (most recent call last):\nrequests.exceptions.ProxyError: Unable to connect to proxy\n",
            "NOT AUDITED: all packages, as the service does not answer: requests.exceptions.ProxyError: Unable",
        ),
        (2, "", "", "pip-audit failed: exit status 2"),
        (0, told(), "", "pip-audit saw no package: is requirements.lock empty?"),
    ],
)
def test_without_an_answer_it_is_said_why(status: int, answer: str, complaint: str, line: str) -> None:
    got, lines = judge(status, answer, complaint)
    assert len(lines) == 1
    assert lines[0].startswith(line)
    assert got == (0 if line.startswith("NOT AUDITED") else 1)


def test_a_service_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 600)

    monkeypatch.setattr(subprocess, "run", never)
    assert main() == 0
    assert capsys.readouterr().out == "NOT AUDITED: all packages: the vulnerability service took more than 600 s\n"
