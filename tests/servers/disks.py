"""Small file systems for the data of servers, and how one is filled."""

import errno
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

BLOCK = bytes(1 << 20)


@contextmanager
def small_disks(names: Iterable[str], mebibytes: int) -> Iterator[Path]:
    """A folder in which each of the named folders is a file system of its own, in memory, of that size.

    Skips the test where this machine mounts nothing for us.
    """
    folder = Path(tempfile.mkdtemp(prefix="troupe-small-"))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in names:
            place = folder / name
            place.mkdir(mode=0o700)
            wanted = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "troupe-small", str(place)]
            try:
                subprocess.run(wanted, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                told = getattr(error, "stderr", "").strip() or str(error)
                pytest.skip(f"a small file system cannot be mounted here: {told}")
            undo.callback(subprocess.run, ["umount", str(place)], check=True)
        yield folder


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Within, there is no room left on the file system of the folder."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(BLOCK)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    try:
        yield
    finally:
        ballast.unlink()
