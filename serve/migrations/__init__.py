"""The revisions of the databases' tables: a folder for each database, a file for each revision.

`python -m serve.migrations users "What changes"` writes the next one, from how the tables in the code differ.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def heads() -> dict[str, str]:
    """The newest revision of each database."""
    found = {folder.name: sorted(folder.glob("r*.py")) for folder in FOLDER.iterdir() if folder.is_dir()}
    return {name: _revision(files[-1]) for name, files in sorted(found.items()) if files}


def _revision(file: Path) -> str:
    found = re.fullmatch(r"r(\d+)_\w+", file.stem)
    assert found is not None, file
    return found[1]
