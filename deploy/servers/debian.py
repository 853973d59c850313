"""Programs out of Debian's packages, unpacked aside: nothing is installed on the machine, root is not needed.

An apt with lists and status of its own downloads a package and all that it needs, the C library too, and verifies
their signatures and checksums. The programs are run by the loader that came with them, so they don't depend on what
the machine has.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.servers.telling import Missing, Telling

KEYRINGS = ("debian-archive-keyring.gpg", "ubuntu-archive-keyring.gpg")
# Packages that others depend on for their installation scripts only, which are not run.
NOT_NEEDED = re.compile(
    r"(perl|libperl|adduser|passwd|usrmerge|tar_|lsb-|sysvinit|libsemanage|libpam|init-|gcc-|debconf)"
)


def release() -> dict[str, str]:
    """What /etc/os-release says: ID, VERSION_CODENAME and so on."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines) if value}


def suites(server: str, suite: str | None) -> list[str]:
    """Lines for apt's list of sources: the machine's own suites, or another suite from where they come from."""
    if shutil.which("apt-get") is None:
        raise Missing(f"{server} is not installed, and there is no apt-get to download it with")
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    codename = release().get("VERSION_CODENAME", "")
    own = (codename, f"{codename}-updates", f"{codename}-security")
    entries = [line.split() for line in found.splitlines() if len(line.split()) == 3]
    entries = [entry for entry in entries if entry[1] in own and entry[2] in ("main", "universe")]
    if suite:
        entries = [[uri, suite, component] for uri, of, component in entries if of == codename][:1]
    if not entries:
        raise Missing(f"{server} is not installed, and apt-get names no source of {codename or 'this system'} for it")
    keyring = next((path for name in KEYRINGS if (path := Path("/usr/share/keyrings", name)).is_file()), None)
    signed = f" [signed-by={keyring}]" if keyring else ""
    return sorted({f"deb{signed} {uri} {of} {component}" for uri, of, component in entries})


def unpack(server: str, package: str, folder: Path, telling: Telling, suite: str | None = None) -> dict[str, str]:
    """Downloads a package with all that it needs into a folder; tells the versions. Raises Missing, Stopped."""
    aside = folder / "apt"
    for name in ("lists/partial", "archives/partial"):
        (aside / name).mkdir(parents=True)
    (aside / "status").touch()
    (aside / "sources.list").write_text("\n".join(suites(server, suite)) + "\n")
    choices = {
        "Dir::Etc::sourcelist": aside / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": aside,
        "Dir::State::lists": aside / "lists",
        "Dir::State::status": aside / "status",
        "Dir::Cache": aside,
        "Dir::Cache::archives": aside / "archives",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "0",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-q", "-y", *(part for name, value in choices.items() for part in ("-o", f"{name}={value}"))]
    telling.step(server, f"reading the list of Debian's packages{f' of {suite}' if suite else ''}")
    log = aside / "log"
    telling.run(server, [*apt, "update"], log)
    telling.step(server, f"downloading {package}")
    telling.run(server, [*apt, "--download-only", "install", package], log, growing=aside / "archives")
    telling.step(server, "unpacking")
    packages = sorted((aside / "archives").glob("*.deb"))
    for one in packages:
        if not NOT_NEEDED.match(one.name):
            telling.run(server, ["dpkg-deb", "--extract", str(one), str(folder)], log)
    shutil.rmtree(aside)
    return {name: version for name, version, _ in (one.name.split("_") for one in packages)}


def command(folder: Path, program: str) -> list[str]:
    """How to run a program, ``usr/sbin/mariadbd``, out of such a folder."""
    loaders = sorted(path for path in folder.rglob("ld-linux-*.so.*") if path.is_file())
    libraries = sorted({str(path.parent) for path in folder.rglob("*.so.*") if path.parent.parent.name == "lib"})
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(folder / program)]


def on_path(*names: str) -> Path | None:
    """A program that this machine has already; Debian's lie where only root looks."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return next((Path(found).resolve() for name in names if (found := shutil.which(name, path=places))), None)
