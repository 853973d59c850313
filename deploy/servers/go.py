"""Servers that Go builds from their sources; Go checks what it downloads against its own database of sums."""

import os
import platform
import shutil
from pathlib import Path

from deploy.servers.cache import Cache
from deploy.servers.telling import Missing, Telling


def built(server: str, module: str, version: str, program: str, cache: Cache, telling: Telling) -> Path:
    """The program, built if it isn't there yet. `program`: what Go calls it. Raises Missing, Stopped."""

    def make(into: Path) -> dict[str, str]:
        go = shutil.which("go")
        if go is None:
            raise Missing(f"{server} is built by Go, and there is no go on this machine")
        telling.step(server, f"downloading and building {server} {version}")
        places = {"GOBIN": str(into), "GOFLAGS": "-modcacherw -trimpath", "CGO_ENABLED": "0"}
        command = [go, "install", f"{module}@{version}"]
        telling.run(server, command, into / "go.log", environment=os.environ | places, folder=into)
        (into / program).rename(into / f"{server}-server")
        return {server: version}

    return cache.installed(server, f"{server}-{version}-{platform.machine()}", make, telling) / f"{server}-server"
