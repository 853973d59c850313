"""Finds what passes for a card's number: 13 to 19 digits, perhaps grouped by spaces or dashes, that Luhn's sum accepts.

A shop that is sent one by mistake must neither keep nor repeat it. What only looks like one is let through: ids
(a digit next to a letter belongs to an id, and so do UUIDs), phone numbers (a plus or a zero first: no card's number
begins with a zero), and where a SKU stands, an article number of 13 or 14 digits (EAN, GTIN).
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

MASK = "[card number]"

_GAP = r"[ \u00a0\u2009\u202f\t.\-\u2010-\u2015]{0,3}"
_RUN = re.compile(rf"(?<![A-Za-z0-9])[0-9](?:{_GAP}[0-9]){{12,}}(?![A-Za-z0-9])")
_GROUP = re.compile(r"[0-9]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
# A body without so many digits near each other, and without escapes that could hide some, has none.
_WORTH_A_LOOK = re.compile(rb"\\u|(?:[0-9][^0-9A-Za-z]{0,9}){13}")
_ARTICLE = re.compile(r"[0-9]{13,14}")
_LONGEST_PHONE = 15
_LONGEST = 19


def in_body(body: bytes, unchecked: frozenset[str] = frozenset()) -> bool:
    """Whether any string of a JSON document passes for a card's number; those named `unchecked` are left out.

    What is no JSON has no strings: whoever reads it says so.
    """
    if _WORTH_A_LOOK.search(body) is None:
        return False
    try:
        return _within(msgspec.json.decode(body), unchecked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def in_text(text: str) -> bool:
    return next(_places(text), None) is not None


def masked(text: str) -> str:
    """The text with each such number blanked."""
    if len(text) < 13:
        return text
    for start, end in reversed(list(_places(text))):
        text = f"{text[:start]}{MASK}{text[end:]}"
    return text


def _within(value: Any, unchecked: frozenset[str], name: str = "") -> bool:
    if isinstance(value, str):
        return not (name == "sku" and _ARTICLE.fullmatch(value)) and in_text(value)
    if isinstance(value, list):
        return any(_within(one, unchecked, name) for one in value)
    if isinstance(value, dict):
        # Keys are SKUs wherever the shop has keys of its callers' choosing.
        return any(
            _within(key, unchecked, "sku") or (key not in unchecked and _within(one, unchecked, key))
            for key, one in value.items()
        )
    return False


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where such numbers stand, one behind the other."""
    hidden = _UUID.sub(lambda found: "x" * len(found[0]), text)
    for run in _RUN.finditer(hidden):
        groups = [(run.start() + one.start(), run.start() + one.end()) for one in _GROUP.finditer(run[0])]
        first = len(groups) if _is_phone(hidden, groups) else 0
        while first < len(groups):
            last = _number(hidden, groups, first)
            if last is not None:
                yield groups[first][0], groups[last][1]
            first = first + 1 if last is None else last + 1


def _number(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last of the groups of digits, from `first` on, that make a number together."""
    digits = ""
    # Each group has a digit at least; further ones would only be copied.
    for place, (start, end) in enumerate(groups[first : first + _LONGEST], first):
        digits += text[start:end]
        if len(digits) > _LONGEST:
            return None
        if len(digits) >= 13 and digits[0] != "0" and _checks(digits):
            return place
    return None


def _is_phone(text: str, groups: list[tuple[int, int]]) -> bool:
    """As people write one: +44 20..., 0044 20..., 020...; E.164 has at most 15 digits."""
    digits = "".join(text[start:end] for start, end in groups)
    if digits.startswith("0"):
        return len(digits) <= _LONGEST_PHONE + (2 if digits.startswith("00") else 0)
    return len(digits) <= _LONGEST_PHONE and text[: groups[0][0]].rstrip(" (").endswith("+")


def _checks(digits: str) -> bool:
    """Luhn's sum."""
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0
