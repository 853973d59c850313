"""Where settings come from: arguments, the environment, a file .env, secrets elsewhere, or another process of ours."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, get_origin

import pydantic
import pydantic_settings
from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from serve.secret_sources import SecretsUnreadable, chosen_by, sources
from serve.settings_errors import PREFIX, SettingsError, no_json, refused, unknown, variable

ENV_FILE = ".env"
S = TypeVar("S", bound="Sourced")


class Sourced(BaseSettings):
    """Settings that are looked for in all these places, and can be handed to another process whole."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first goes before the others. Raises SecretsUnreadable."""
        if init_settings().keys() >= cls.model_fields.keys():
            return (init_settings,)  # they were packed: nothing else is asked
        given = (init_settings, env_settings, dotenv_settings)
        chosen = chosen_by(given)
        more = sources(settings_cls, chosen.get("secrets_dir"), chosen.get("secrets_aws", ""))
        if strangers := unknown(cls, (name for source in more for name in source.names)):
            raise SecretsUnreadable("\n".join(strangers))
        return (*given, *more)

    def packed(self) -> dict[str, str]:
        """All settings, secrets too, for the environment of a process of ours. Never log it."""
        packed: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            elif isinstance(value, tuple):
                value = json.dumps([v.model_dump() if isinstance(v, BaseModel) else v for v in value])
            packed[variable(name)] = str(value)
        return packed

    @classmethod
    def unpacked(cls, packed: Mapping[str, str]) -> Self:
        """The settings that were packed, whatever this process' own environment says. Raises SettingsError."""
        values: dict[str, Any] = dict.fromkeys(cls.model_fields)
        for name, field in cls.model_fields.items():
            text = packed.get(variable(name))
            if text is None and field.default is not None:
                values[name] = field.default
            elif text is not None:
                values[name] = json.loads(text) if get_origin(field.annotation) is tuple else text
        return _made(cls, values)


def loaded(kind: type[S], given: dict[str, Any]) -> S:
    """`given` go before the environment, and that before the file .env. Raises SettingsError."""
    wrong = unknown(kind, {*os.environ, *env_file()})
    try:
        settings = _made(kind, given, _env_file=ENV_FILE)
    except SettingsError as error:
        wrong.append(str(error))
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def env_file() -> dict[str, str]:
    """What the file .env of this folder says; nothing if there is none."""
    found = dotenv_values(ENV_FILE) if Path(ENV_FILE).is_file() else {}
    return {name.upper(): value or "" for name, value in found.items() if name.upper().startswith(PREFIX)}


def _made(kind: type[S], values: dict[str, Any], **more: Any) -> S:
    try:
        return kind(**more, **values)
    except SecretsUnreadable as error:
        raise SettingsError(str(error)) from None
    except pydantic.ValidationError as error:
        # What comes from where secrets are is not repeated, whatever it is for.
        shown = {*values, *(name.upper().removeprefix(PREFIX).lower() for name in (*os.environ, *env_file()))}
        raise refused(kind, error, shown) from None
    except pydantic_settings.SettingsError as error:
        raise no_json(kind, error) from None
