"""Java servers: which Java, and what Maven downloads."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.servers.telling import Missing, Telling

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
# Where Maven finds artefacts is Maven's own business (settings.xml); only what is wanted stands here.
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>troupe</groupId><artifactId>servers</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{}</dependencies></project>
"""
DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def java(server: str, oldest: int, newest: int | None = None) -> Path:
    """The Java to run a server with, JAVA_HOME's before the PATH's. Raises Missing if none has the right age."""
    home = os.environ.get("JAVA_HOME")
    candidates = [Path(home, "bin", "java")] if home else []
    candidates += [Path(found)] if (found := shutil.which("java")) else []
    ages = []
    for candidate in candidates:
        if (age := _age(candidate)) is None:
            continue
        ages.append(age)
        if age >= oldest and (newest is None or age <= newest):
            return candidate.resolve()
    wanted = f"Java {oldest} to {newest}" if newest else f"Java {oldest} or newer"
    has = " and ".join(str(age) for age in ages)
    raise Missing(
        f"{server} needs {wanted}; " + (f"this machine has {has}" if has else "there is no java on this machine")
    )


def _age(candidate: Path) -> int | None:
    try:
        told = subprocess.run([candidate, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except OSError:
        return None
    found = re.search(r'version "(\d+)', told)
    return int(found.group(1)) if found else None


def maven(server: str) -> str:
    found = shutil.which("mvn")
    if found is None:
        raise Missing(f"{server} is downloaded by Maven, and there is no mvn on this machine")
    return found


def jars(server: str, artefacts: Iterable[str], into: Path, telling: Telling) -> None:
    """Downloads artefacts (group:name:version) and all that they need to run. Raises Missing, Stopped."""
    wanted = "".join(DEPENDENCY.format(*map(escape, artefact.split(":"))) for artefact in artefacts)
    pom = into.with_name("pom.xml")
    pom.write_text(POM.format(wanted))
    goal = [f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={into}", "-DincludeScope=runtime"]
    telling.run(server, [maven(server), "-B", "-q", "-f", str(pom), *goal], into.with_name("mvn.log"), growing=into)


def one_file(server: str, artefact: str, aside: Path, telling: Telling) -> Path:
    """Downloads one artefact (group:name:version:packaging) into a repository that can be thrown away, ``aside``."""
    group, name, version, packaging = artefact.split(":")
    aside.mkdir()
    choices = [f"-Dartifact={artefact}", "-Dtransitive=false", f"-Dmaven.repo.local={aside}"]
    telling.run(
        server, [maven(server), "-B", "-q", f"{PLUGIN}:get", *choices], aside.with_name("mvn.log"), growing=aside
    )
    return aside.joinpath(*group.split("."), name, version, f"{name}-{version}.{packaging}")
