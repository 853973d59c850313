"""Secrets that nobody gave: made once and kept in the data folder, readable by its owner only."""

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from serve.settings import Settings


def with_secrets(settings: Settings) -> Settings:
    """Settings whose secrets are all set: what was not given is made once and kept in the data folder."""
    if settings.webhook_secret is not None:
        return settings
    secret = _kept_secret(settings.data_dir / "webhook.secret")
    return settings.model_copy(update={"webhook_secret": SecretStr(secret)})


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        made = secrets.token_hex(32)
        file.write(made)
    return made
