"""Attributes in files: ``attribute:colour``, ``attribute:weight:number``, or a JSON object of typed values."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_PREFIX = "attribute:"
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def typed_attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of attributes. Raises ValueError."""
    given = fields.get("attributes") or {}
    if not isinstance(given, dict):
        raise ValueError("attributes: not a JSON object")
    found = {name: _plain(value) for name, value in given.items()}
    for column, value in fields.items():
        if column.startswith(_PREFIX):
            name, _, kind = column.removeprefix(_PREFIX).partition(":")
            found[name.strip()] = _typed(column, kind.strip() or "text", value)
    return found


def known_type(column: str) -> bool:
    """Whether a column is no attribute's, or one of a type that there is."""
    kind = column.removeprefix(_PREFIX).partition(":")[2].strip()
    return not column.startswith(_PREFIX) or kind in ("", *_TYPES)


def _typed(column: str, kind: str, value: Any) -> Any:
    if not isinstance(value, str):
        return _plain(value)
    if kind not in _TYPES:
        raise ValueError(f"{column}: the type is one of {', '.join(_TYPES)}")
    try:
        return _TYPES[kind](value.strip())
    except ValueError:
        raise ValueError(f"{column}: {value[:40]!r} is not a {kind}") from None


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text) if "." in text else int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError
    return _TRUTH[text.lower()]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


_TYPES: dict[str, Callable[[str], Any]] = {"text": str, "number": _number, "boolean": _boolean, "list": _list}
