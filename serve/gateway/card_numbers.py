"""Finds what passes for a card's number: 13 to 19 digits, perhaps grouped by spaces or dashes, that Luhn's sum accepts.

A shop that is sent one by mistake must neither keep nor repeat it. What only looks like one is let through: ids
(a digit next to a letter belongs to an id, and so do UUIDs), phone numbers (a plus or a zero first: no card's number
begins with a zero), and where a SKU stands, an article number of 13 or 14 digits (EAN, GTIN).
"""

import re
from collections.abc import Iterator
from itertools import accumulate
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
_SHORTEST, _LONGEST = 13, 19
_PLAIN = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


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
    pieces, at = [], 0
    for start, end in _places(text):
        pieces += [text[at:start], MASK]
        at = end
    return "".join([*pieces, text[at:]])


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
    if len(text) < _SHORTEST:
        return
    hidden = _UUID.sub(lambda found: "x" * len(found[0]), text)
    for run in _RUN.finditer(hidden):
        groups = [(run.start() + one.start(), run.start() + one.end()) for one in _GROUP.finditer(run[0])]
        if not _is_phone(hidden, groups):
            yield from _numbers("".join(_GROUP.findall(run[0])), groups)


def _numbers(digits: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where groups of a run's digits make a number together. Takes time in proportion to the run, whatever is in it."""
    even, odd = _luhn_sums(digits.encode())
    starts = [0, *accumulate(end - start for start, end in groups)]
    find = _ends((even, odd), starts).find
    places = {count: place for place, count in enumerate(starts)}
    begins = iter(enumerate(starts[:-1]))
    for first, begin in begins:
        if digits[begin] == "0":
            continue
        shortest, longest = begin + _SHORTEST, begin + _LONGEST + 1
        end = find(even[begin], shortest, longest)
        other = find(odd[begin] + 10, shortest, longest)
        if end < 0 or 0 < other < end:
            end = other
        if end > 0:
            last = places[end] - 1
            yield groups[first][0], groups[last][1]
            for _ in range(last - first):
                next(begins)


def _luhn_sums(digits: bytes) -> tuple[bytes, bytes]:
    """The last digit of Luhn's sum of the digits before each place: in numbers that end at an even one, and at an odd.

    From the last digit on, every second one is doubled: those whose place is as even as the end. So the digits between
    two places are a number if these are the same at both.
    """
    plain, doubled = digits.translate(_PLAIN), digits.translate(_DOUBLED)
    sums = []
    for odd in (0, 1):
        mixed = bytearray(plain)
        mixed[odd::2] = doubled[odd::2]
        sums.append(bytes(map((10).__rmod__, accumulate(mixed, initial=0))))
    return sums[0], sums[1]


def _ends(sums: tuple[bytes, bytes], starts: list[int]) -> bytes:
    """The sum at each place where a group ends, plus ten at odd ones; at others nothing that is looked for."""
    ends = bytearray(b"\xff" * len(sums[0]))
    for place in starts[1:]:
        ends[place] = sums[place & 1][place] + 10 * (place & 1)
    return bytes(ends)


def _is_phone(text: str, groups: list[tuple[int, int]]) -> bool:
    """As people write one: +44 20..., 0044 20..., 020...; E.164 has at most 15 digits."""
    digits = "".join(text[start:end] for start, end in groups)
    if digits.startswith("0"):
        return len(digits) <= _LONGEST_PHONE + (2 if digits.startswith("00") else 0)
    return len(digits) <= _LONGEST_PHONE and text[: groups[0][0]].rstrip(" (").endswith("+")
