"""Files of a front door. Some have secrets in them, so all are readable by their owner only."""

import os
import secrets
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes a whole file or leaves what was there; its mode is 0600 whatever it was. Raises OSError."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
