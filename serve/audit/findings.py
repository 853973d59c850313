"""What an audit finds: damage, in sentences, and what is only still under way."""

from collections import Counter

EXAMPLES = 5
"""Kept of each sort of thing that is under way."""


class Findings:
    """`waiting`: what is under way, counted by what it is; a few examples of each are kept."""

    def __init__(self) -> None:
        self.damage: list[str] = []
        self.waiting: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.checked: Counter[str] = Counter()

    def broken(self, sentence: str) -> None:
        """Something that no running shop ever is."""
        self.damage.append(sentence)

    def waits(self, what: str, example: str = "") -> None:
        """Something that a running shop will see to, or a shop that is started again."""
        self.waiting[what] += 1
        kept = self.examples.setdefault(what, [])
        if example and len(kept) < EXAMPLES:
            kept.append(example)

    def count(self, what: str, many: int = 1) -> None:
        """So much was looked at."""
        self.checked[what] += many

    def clean(self, *, settled: bool) -> bool:
        """Whether nothing is wrong; with `settled` nothing may be under way either."""
        return not self.damage and not (settled and self.waiting)
