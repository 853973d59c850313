"""Stripe's requests: forms whose names have brackets in them."""

import re
from typing import Any
from urllib.parse import parse_qsl

Params = dict[str, Any]


def parsed(text: str) -> Params:
    """``a[b]=1&c[]=2&c[]=3&d[0][e]=4`` is ``{"a": {"b": "1"}, "c": ["2", "3"], "d": [{"e": "4"}]}``."""
    made: Params = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        place = made
        *steps, last = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        for step in steps:
            place = place.setdefault(step, {})
        place[last or str(len(place))] = value
    return {name: _listed(value) for name, value in made.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner


def truth(params: Params, name: str) -> bool:
    return params.get(name) == "true"
