"""`troupe settings`: each setting with its value and where that comes from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from serve import secret_sources, settings_docs
from serve.cli.running import read_settings
from serve.kept_secrets import KEPT
from serve.settings import Settings
from serve.settings_errors import is_secret, variable
from serve.settings_sources import ENV_FILE, env_file

MADE_IN_USERS_DB = ("signing_key", "guest_secret")


def settings(
    data: Annotated[Path | None, typer.Option(help="The data folder, if not TROUPE_DATA_DIR.")] = None,
    write_docs: Annotated[
        Path | None, typer.Option(help="Write docs/settings.md and .env.example in this folder, and nothing else.")
    ] = None,
) -> None:
    """Show each setting, where its value comes from, and whether it is secret. Secrets are never shown."""
    if write_docs is not None:
        (write_docs / settings_docs.DOCUMENT).write_text(settings_docs.markdown())
        (write_docs / settings_docs.EXAMPLE).write_text(settings_docs.example())
        return
    found = read_settings(data=data)
    elsewhere = secret_sources.origins(Settings, found.secrets_dir, found.secrets_aws)
    widest = max(len(variable(name)) for name in Settings.model_fields)
    for name, field in Settings.model_fields.items():
        place = source(name, found, elsewhere, given=("data_dir",) if data is not None else ())
        secret = is_secret(field)
        value = ("(set)" if place != "default" else "") if secret else settings_docs.shown(getattr(found, name))
        print(f"{variable(name):{widest}}  {place:11}  {'secret' if secret else '':6}  {value}".rstrip())


def source(name: str, found: Settings, elsewhere: Mapping[str, str], given: tuple[str, ...] = ()) -> str:
    """Where a setting's value comes from: argument, environment, .env file, elsewhere, data folder or default."""
    if name in given:
        return "argument"
    if variable(name) in {one.upper() for one in os.environ}:
        return "environment"
    if variable(name) in env_file():
        return f"{ENV_FILE} file"
    if name in elsewhere:
        return elsewhere[name]
    kept = {"webhook_secret": found.data_dir / KEPT}
    kept.update(dict.fromkeys(MADE_IN_USERS_DB, found.database("users")))
    return "data folder" if name in kept and kept[name].exists() else "default"
