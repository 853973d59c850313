"""The settings as texts: docs/settings.md and .env.example are made from the model, and a test compares them."""

import json
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from serve.settings import Settings
from serve.settings_errors import is_secret, variable

DOCUMENT = Path("docs/settings.md")
EXAMPLE = Path(".env.example")
# The first setting of each group.
GROUPS = {
    "profile": "What it is for",
    "secrets_dir": "Where secrets are",
    "host": "Where it listens and keeps things",
    "currency": "The shop",
    "hosts": "The actors",
    "rate_limits": "Who may call, and how often",
    "closing_seconds": "What it tells",
}
_HEAD = """# Settings

Made from `serve/settings.py` by `make settings-docs`; do not edit it by hand.

Each setting is an environment variable, or a line in a file `.env` in the folder that the shop is started in
([.env.example](../.env.example) has them all); or a file of `TROUPE_SECRETS_DIR`, or stands in the secret of
`TROUPE_SECRETS_AWS` ([deploy.md](deploy.md#secrets)). An argument of the command goes before the environment, that
before `.env`, that before the files, and they before AWS. A name that is no setting, or a value that is not allowed,
stops the start and is named. `troupe settings` shows each value and where it comes from; values of secrets are never
shown.
"""
_PRODUCTION = """
## The production profile

With `TROUPE_PROFILE=production` the shop does not start with the test gateway, with keys that were made in the data
folder (`TROUPE_SIGNING_KEY` and `TROUPE_GUEST_SECRET` have to be given), without Stripe's live key and what it signs
webhooks with, without a mail server and an address of your own (`TROUPE_MAIL_URL`, `TROUPE_MAIL_FROM`), with a public
address or an origin that is not https, with rate limits off, or with a Ray that takes calls without a token
(`RAY_AUTH_MODE`). All that is wrong is said at once.
"""


def markdown() -> str:
    """docs/settings.md"""
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            parts.append(f"\n## {GROUPS[name]}\n\n| setting | default | allowed | what it is |\n|---|---|---|---|\n")
        default = f"`{shown(field.default)}`" if shown(field.default) else ""
        secret = " (secret)" if is_secret(field) else ""
        cells = (f"`{variable(name)}`", default, allowed(field) + secret, field.description or "")
        parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join((*parts, _PRODUCTION))


def example() -> str:
    """.env.example: every setting with its default, commented out."""
    parts = ["# Copy it to .env and set what differs. Made from serve/settings.py by `make settings-docs`.\n"]
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            parts.append(f"\n# == {GROUPS[name]} ==\n")
        parts.append(f"# {field.description} ({allowed(field)})\n#{variable(name)}={quoted(shown(field.default))}\n")
    return "".join(parts)


def quoted(value: str) -> str:
    """As a line of .env wants it: JSON keeps its quotes."""
    return f"'{value}'" if '"' in value else value


def shown(value: Any) -> str:
    """A value as its variable would say it; nothing for one that is not set, and never a secret."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return json.dumps([one.model_dump() if isinstance(one, BaseModel) else one for one in value])
    return str(value)


def allowed(field: FieldInfo) -> str:
    """What a setting may be, in words."""
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    bounds = {type(one): one for one in field.metadata}
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if get_origin(field.annotation) is tuple:
        return "a JSON list"
    if kinds == [bool]:
        return "`true`, `false`"
    if kinds in ([int], [float]):
        low, high = bounds.get(Ge), bounds.get(Le)
        if isinstance(low, Ge) and isinstance(high, Le):
            return f"{low.ge} to {high.le}"
        return f"{low.ge} or more" if isinstance(low, Ge) else "a number"
    if kinds == [Path]:
        return "a path"
    shortest = bounds.get(MinLen)
    return f"{shortest.min_length} characters or more" if isinstance(shortest, MinLen) else "a text"
