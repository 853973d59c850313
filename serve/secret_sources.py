"""Settings from a folder of files, as containers are given secrets, and from AWS Secrets Manager.

Nothing that is raised here repeats a value: any of them may be a secret.
"""

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import (
    AWSSecretsManagerSettingsSource,
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsError,
)

FOLDER = "TROUPE_SECRETS_DIR"
SECRET = "TROUPE_SECRETS_AWS"  # noqa: S105  # the setting's name
_ADVICE = {
    "ResourceNotFoundException": "look at the name, the account and the region (AWS_REGION)",
    "AccessDeniedException": "who starts the shop needs secretsmanager:GetSecretValue on it",
    "DecryptionFailure": "who starts the shop needs kms:Decrypt on the key that it is encrypted with",
}


class SecretsUnreadable(Exception):
    """A text for people."""


class SecretFiles(SecretsSettingsSource):
    """A file for each setting, with the name of its variable. `names`: of the files that are there."""

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls, folder)
        self._folder = folder
        try:
            self.names: tuple[str, ...] = tuple(sorted(os.listdir(folder)))
        except OSError as error:
            raise SecretsUnreadable(
                f"{FOLDER}={folder} cannot be read ({error.strerror}): mount the secrets there, or unset it."
            ) from None

    def __call__(self) -> dict[str, Any]:
        try:
            return super().__call__()
        except SettingsError as error:
            # The library puts an error of its own around ours.
            raise error.__cause__ if isinstance(error.__cause__, SecretsUnreadable) else error from None

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """As the library's, but what it only warns of stops the start."""
        try:
            with warnings.catch_warnings(action="error"):
                return super().get_field_value(field, field_name)
        except (OSError, UnicodeDecodeError, UserWarning) as error:
            name = f"{self.env_prefix}{field_name}".upper()
            reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
            if isinstance(error, UserWarning):
                reason = "it must be a file that lies in that folder"
            raise SecretsUnreadable(f"{name}: its file in {self._folder} cannot be read ({reason}).") from None


class SecretInAws(AWSSecretsManagerSettingsSource):
    """One secret: JSON of texts by the names of variables. Region and credentials are found as by every AWS tool."""

    def __init__(self, settings_cls: type[BaseSettings], secret: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            super().__init__(settings_cls, secret, case_sensitive=False)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise _unreadable(secret, code, _ADVICE.get(code, "see AWS' own documentation")) from None
        except BotoCoreError as error:
            raise _unreadable(secret, str(error), "set AWS_REGION and credentials, see docs/deploy.md") from None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(name.upper() for name in self.env_vars))

    def _load_env_vars(self) -> Mapping[str, str | None]:
        advice = f'it must be {{"{self.env_prefix}MYSQL_URL": "...", ...}}'
        try:
            found = super()._load_env_vars()
        except KeyError:
            raise _unreadable(self._secret_id, "it is binary", advice) from None
        except json.JSONDecodeError:
            raise _unreadable(self._secret_id, "it is no JSON", advice) from None
        except AttributeError:
            raise _unreadable(self._secret_id, "it is no JSON object", advice) from None
        for name, value in found.items():
            if not isinstance(value, str):
                raise _unreadable(self._secret_id, f"{name.upper()} in it is no text", 'write "6", not 6')
        if not any(name.startswith(self.env_prefix.lower()) for name in found):
            raise _unreadable(self._secret_id, "no setting is in it", advice)
        return found


def _unreadable(secret: str, reason: str, advice: str) -> SecretsUnreadable:
    return SecretsUnreadable(f"{SECRET}={secret} cannot be used: {reason.rstrip('.')}; {advice}.")


def sources(kind: type[BaseSettings], folder: str | Path | None, secret: str) -> list[SecretFiles | SecretInAws]:
    """Those that are named; the first goes before the second. Raises SecretsUnreadable."""
    found: list[SecretFiles | SecretInAws] = []
    if folder:
        found.append(SecretFiles(kind, Path(folder).expanduser().absolute()))
    if secret:
        found.append(SecretInAws(kind, secret))
    return found


def origins(kind: type[BaseSettings], folder: Path | None, secret: str) -> dict[str, str]:
    """Which of them each setting comes from that is there, unless something goes before both."""
    named = {SecretFiles: "secret file", SecretInAws: "AWS secret"}
    return {name: named[type(one)] for one in reversed(sources(kind, folder, secret)) for name in one()}


def chosen_by(given: Iterable[PydanticBaseSettingsSource]) -> dict[str, Any]:
    """What these sources say, the first of which goes before the others."""
    return {name: value for source in reversed(list(given)) for name, value in source().items()}
