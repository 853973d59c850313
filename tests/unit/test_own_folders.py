"""Folders that only the shop's user can enter, also where somebody else was there first."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from serve import preflight
from serve.cluster import Cluster, temporary_folders
from serve.preflight import CannotStart
from serve.settings import load
from serve.supervising import inherited


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Cluster(load(data_dir=tmp_path / "data"), lambda _: None)


def test_what_ray_opens_to_everybody_lies_behind_a_closed_folder(cluster: Cluster, tmp_path: Path) -> None:
    folder, ray = temporary_folders(tmp_path / "data")
    assert ray.parent == folder
    assert cluster._haproxy_folder() == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cluster._haproxy_folder() == str(folder)


@pytest.mark.parametrize("how", ["open", "link", "file", "another's"])
def test_a_folder_that_somebody_else_made_is_not_used(
    cluster: Cluster, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = temporary_folders(tmp_path / "data")
    if how == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif how == "file":
        folder.touch()
    else:
        folder.mkdir(mode=0o755 if how == "open" else 0o700)
    if how == "another's":
        other = os.getuid() + 1
        monkeypatch.setattr("serve.cluster.temporary_folders", lambda _: (folder, folder / "ray"))
        monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(CannotStart, match="must be a folder that only this user can enter"):
        cluster._haproxy_folder()


def test_a_new_data_folder_is_its_owners_only(tmp_path: Path) -> None:
    preflight._check_folder(tmp_path / "new" / "data")
    assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700


def test_secrets_are_not_handed_on_in_the_environment() -> None:
    given = {"TROUPE_MYSQL_URL": "hush", "troupe_social": "hush", "TROUPE_PORT": "1", "PATH": "/bin", "TROUPE_RUN": "m"}
    assert inherited(given) == {"TROUPE_PORT": "1", "PATH": "/bin", "TROUPE_RUN": "m"}
