"""Prints what an audit found."""

from rich.console import Console

from serve.audit.findings import Findings

SHOWN = 200
"""Sentences that are printed; a shop that is damaged more is counted."""


def lines_of(findings: Findings, *, settled: bool) -> list[str]:
    """The whole report in sentences, the verdict last."""
    lines = list(findings.damage[:SHOWN])
    if len(findings.damage) > SHOWN:
        lines.append(f"... and {len(findings.damage) - SHOWN} more.")
    for what, count in findings.waiting.most_common():
        examples = findings.examples[what]
        more = ", ..." if count > len(examples) else ""
        lines.append(f"Under way: {count} {what}" + (f" ({', '.join(examples)}{more})." if examples else "."))
    lines.append("Looked at " + ", ".join(f"{count:,} {what}" for what, count in findings.checked.items()) + ".")
    if findings.damage:
        count = len(findings.damage)
        lines.append("1 thing is wrong." if count == 1 else f"{count} things are wrong.")
    elif settled and findings.waiting:
        lines.append("Nothing is wrong, but not everything is settled.")
    else:
        lines.append("Everything adds up." if not findings.waiting else "Everything adds up so far.")
    return lines


def show(findings: Findings, console: Console, *, settled: bool) -> None:
    """Damage in red, what is under way in yellow."""
    for line in lines_of(findings, settled=settled):
        style = "red" if line in findings.damage else "yellow" if line.startswith("Under way") else ""
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
