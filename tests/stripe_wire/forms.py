"""Stripe's requests: forms whose names have brackets in them."""

import re
from typing import Any
from urllib.parse import parse_qsl

Params = dict[str, Any]


def parsed(text: str) -> Params:
    """``a[b]=1&c[]=2&c[]=3`` is ``{"a": {"b": "1"}, "c": ["2", "3"]}``; numbered lists are lists as well."""
    made: Params = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        place = made
        for step, after in zip([first, *rest], rest, strict=False):
            place = place.setdefault(step, {})
            if after == "" or after.isdigit():
                break
        last = rest[-1] if rest else first
        if last == "" or (rest and last.isdigit()):
            _append(made, [first, *rest[:-1]], value)
        else:
            place[last] = value
    return made


def _append(made: Params, path: list[str], value: str) -> None:
    place: Any = made
    for step in path[:-1]:
        place = place.setdefault(step, {})
    if not isinstance(place.get(path[-1]), list):
        place[path[-1]] = []
    place[path[-1]].append(value)


def truth(params: Params, name: str) -> bool:
    return params.get(name) == "true"
