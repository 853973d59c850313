"""What people are told of settings that are wrong: which one, why, and what it is for; never a secret's value."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any

import pydantic
import pydantic_settings
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

PREFIX = "TROUPE_"
# Variables of ours that are no settings: the mark of a shop's processes, what `troupe staff add` and tests take.
OTHERS = ("TROUPE_RUN", "TROUPE_PASSWORD", "TROUPE_TEST_")
Kind = type[BaseSettings]


class SettingsError(Exception):
    """A text for people: which setting is wrong, why, and what it is for."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must never be shown."""
    return "SecretStr" in str(field.annotation)


def unknown(kind: Kind, names: Iterable[str]) -> list[str]:
    """A sentence for each TROUPE_ variable that is no setting."""
    known = [variable(name) for name in kind.model_fields]
    found: list[str] = []
    for name in sorted(names):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(OTHERS):
            continue
        close = difflib.get_close_matches(upper, known, 1, 0.8)
        hint = f"did you mean {close[0]}?" if close else "docs/settings.md has all that there are."
        found.append(f"{name} is not a setting; {hint}")
    return found


def refused(kind: Kind, error: pydantic.ValidationError, shown: Collection[str]) -> SettingsError:
    """A line for each value that is not allowed. `shown`: the settings whose values may be repeated, unless secret."""
    found = error.errors()
    within = {one["loc"][0] for one in found if len(one["loc"]) > 1}
    # A list that has something wrong in it counts as empty too.
    told = [one for one in found if len(one["loc"]) != 1 or one["loc"][0] not in within]
    return SettingsError("\n".join(_sentence(kind, one, shown) for one in told))


def no_json(kind: Kind, error: pydantic_settings.SettingsError) -> SettingsError:
    """Of a list that the library could not read."""
    name = re.sub(r'.*field "(\w+)".*', r"\1", str(error))
    return SettingsError(f"{variable(name)}: not JSON ({_described(kind, name)}).")


def _described(kind: Kind, name: str) -> str:
    field = kind.model_fields.get(name)
    return (field.description or "") if field is not None else ""


def _sentence(kind: Kind, found: Any, shown: Collection[str]) -> str:
    if not found["loc"]:
        return str(found["msg"]).removeprefix("Value error, ")
    name = str(found["loc"][0])
    within = "".join(f"[{step}]" for step in found["loc"][1:])
    repeats = name in shown and not is_secret(kind.model_fields[name])
    value = f"={found['input']!s:.100}" if repeats and not within else ""
    reason = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if found["type"] == "value_error" and name not in shown and not is_secret(kind.model_fields[name]):
        reason = "it is not allowed"  # our own words may repeat what they are about
    return f"{variable(name)}{within}{value}: {reason} ({_described(kind, name)})."
