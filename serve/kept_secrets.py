"""Secrets that nobody gave: made once and kept in the data folder, readable by its owner only."""

import os
import secrets
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine

from serve.gateway.keys import GivenKeys, Keys
from serve.settings import Settings

KEPT = "webhook.secret"


def with_secrets(settings: Settings) -> Settings:
    """Settings whose secrets are all set: what was not given is made once and kept in the data folder."""
    if settings.webhook_secret is not None:
        return settings
    secret = _kept_secret(settings.data_dir / KEPT)
    return settings.model_copy(update={"webhook_secret": SecretStr(secret)})


def keys_of(settings: Settings, engine: Engine) -> Keys:
    """The keys that tokens are signed with: those given, or those kept in users.db, whose engine this is."""
    if settings.signing_key is None or settings.guest_secret is None:
        return Keys(engine)
    given = GivenKeys(settings.signing_key.get_secret_value(), settings.guest_secret.get_secret_value().encode())
    return Keys(engine, given=given)


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
