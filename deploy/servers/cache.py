"""Where downloaded servers are kept: each is installed once, whole or not at all, and only with the right checksums."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deploy.servers.telling import Missing, Telling

MARK = "installed.json"


def cache_folder() -> Path:
    """XDG_CACHE_HOME/troupe/servers, or ~/.cache/troupe/servers."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "troupe" / "servers"


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check(files: Mapping[Path, str]) -> None:
    """Raises Missing if a file is not the one that its sha256 belongs to."""
    for file, expected in files.items():
        if not file.is_file():
            raise Missing(f"{file.name} was not among what was downloaded")
        if (found := sha256(file)) != expected:
            raise Missing(f"{file.name} is not the file that was tested: sha256 {found}, expected {expected}")


class Cache:
    """A folder with a folder for each installed server."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def installed(self, server: str, key: str, make: Callable[[Path], Mapping[str, str]], telling: Telling) -> Path:
        """The folder ``key``, made by ``make`` if it isn't there yet.

        ``make`` gets an empty folder and says what it put into it. Only when it is done does the folder get its name,
        so one that was broken off is never taken for whole. Others who want it meanwhile wait.
        Raises what ``make`` raises, Stopped.
        """
        whole = self.folder / key
        if (whole / MARK).is_file():
            return whole
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone(server, key, telling):
            if (whole / MARK).is_file():
                return whole
            half = self.folder / f"{key}.partial"
            for left in (half, whole):
                discard(left)
            half.mkdir()
            try:
                what = make(half)
                (half / MARK).write_text(json.dumps(dict(what), indent=1) + "\n")
                half.rename(whole)
            finally:
                discard(half)
        return whole

    @contextlib.contextmanager
    def _alone(self, server: str, key: str, telling: Telling) -> Iterator[None]:
        with (self.folder / f"{key}.lock").open("w") as lock:
            told = False
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        telling.step(server, "waiting for another process that installs it")
                    told = True
                    telling.pause(0.3)
            yield


def discard(folder: Path) -> None:
    """Removes a folder, also one in which folders are read-only, as Go leaves them."""
    if not folder.exists():
        return
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)
