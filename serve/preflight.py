"""What must be so before the shop can start; each thing that isn't is said with what to do about it."""

import os
import socket
from pathlib import Path

import psutil

from serve.catalog.search.analysis import Analysis
from serve.catalog.search.synonyms import BadSynonyms, Synonyms
from serve.settings import Settings

NEEDED_MB = 1500


class CannotStart(Exception):
    """A text for people."""


def check(settings: Settings) -> None:
    """Raises CannotStart."""
    _check_folder(settings.data_dir)
    _check_port(settings.host, settings.port)
    _check_memory()
    _check_synonyms(settings)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's names and addresses are in it
    except OSError as error:
        raise CannotStart(f"The data folder {folder} cannot be made ({error.strerror}). Set TROUPE_DATA_DIR.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(f"The data folder {folder} cannot be written to. Change its owner or set TROUPE_DATA_DIR.")


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} cannot be listened at ({error.strerror}). "
                f"Stop what uses it, or choose another: TROUPE_PORT={port + 1}"
            ) from None


def _check_synonyms(settings: Settings) -> None:
    try:
        Synonyms(settings.search_synonyms, Analysis(settings.language))
    except BadSynonyms as error:
        raise CannotStart(f"The synonyms of TROUPE_SEARCH_SYNONYMS cannot be used: {error}.") from None


def _check_memory() -> None:
    free = psutil.virtual_memory().available // 2**20
    if free < NEEDED_MB:
        raise CannotStart(
            f"{free} MB of memory are free and the shop with Ray needs about {NEEDED_MB}. "
            "Close something, or run it where there is more."
        )
