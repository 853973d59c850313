"""``python -m deploy.audit_dependencies``: asks whether what is installed has known vulnerabilities, and whether that
was answered: what could not be audited is named, and is never taken for harmless."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

LOCK = Path("requirements.lock")
SECONDS = 600
SHOWN = 5
# What pip-audit says then: it has no exit status of its own for it.
AWAY = ("Could not connect", "requests.exceptions.", "ServiceError")


class Outcome(NamedTuple):
    """`lines`: for people, the ones about what was not audited begin with NOT AUDITED."""

    status: int
    lines: list[str]


def judge(status: int, told: str, complaint: str) -> Outcome:
    """Of pip-audit's exit status, JSON, and errors. Status 1: something is vulnerable, or it broke in another way."""
    try:
        packages = json.loads(told)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        said = complaint.strip().splitlines() or [f"exit status {status}"]
        if away := [line for line in said if any(sign in line for sign in AWAY)]:
            return Outcome(0, [f"NOT AUDITED: all packages, as the service does not answer: {away[-1]:.200}"])
        return Outcome(1, [f"pip-audit failed: {said[-1]:.500}"])
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for one in packages
        for found in one.get("vulns", ())
    ]
    vulnerable = bool(lines)
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if skipped:
        names = ", ".join(skipped[:SHOWN]) + (", ..." if len(skipped) > SHOWN else "")
        lines.append(f"NOT AUDITED: {len(skipped)} of {len(packages)} packages, unknown to the service: {names}")
    if len(skipped) < len(packages) and not vulnerable:
        lines.append(f"{len(packages) - len(skipped)} packages: nothing known against them")
    if not packages:
        return Outcome(1, ["pip-audit saw no package: is requirements.lock empty?"])
    return Outcome(1 if vulnerable or status not in (0, 1) else 0, lines)


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--disable-pip", "-f", "json"]
    try:
        ran = subprocess.run(
            [*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        outcome = judge(ran.returncode, ran.stdout, ran.stderr)
    except subprocess.TimeoutExpired:
        outcome = Outcome(0, [f"NOT AUDITED: all packages: the vulnerability service took more than {SECONDS} s"])
    sys.stdout.write("".join(f"{line}\n" for line in outcome.lines))
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
