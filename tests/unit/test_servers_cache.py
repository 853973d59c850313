"""What is downloaded is whole and is what was tested, or it is not there."""

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.servers.cache import MARK, Cache, check, discard
from deploy.servers.telling import Missing, Stopped, Telling


def test_a_file_with_another_checksum_is_refused_with_both_sums(tmp_path: Path) -> None:
    file = tmp_path / "server.jar"
    file.write_bytes(b"changed")
    expected, found = hashlib.sha256(b"tested").hexdigest(), hashlib.sha256(b"changed").hexdigest()
    with pytest.raises(Missing) as refused:
        check({file: expected})
    assert str(refused.value) == f"server.jar is not the file that was tested: sha256 {found}, expected {expected}"
    check({file: found})


def test_a_file_that_did_not_come_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"^server\.jar was not among what was downloaded$"):
        check({tmp_path / "server.jar": "0" * 64})


def test_an_install_that_fails_leaves_nothing_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fails(into: Path) -> Mapping[str, str]:
        (into / "half").touch()
        raise Missing("the line went dead")

    def works(into: Path) -> Mapping[str, str]:
        assert list(into.iterdir()) == []
        (into / "program").touch()
        return {"program": "1"}

    with pytest.raises(Missing, match="the line went dead"):
        cache.installed("x", "x-1", fails, Telling())
    assert [path.name for path in tmp_path.iterdir()] == ["x-1.lock"]
    folder = cache.installed("x", "x-1", works, Telling())
    assert sorted(path.name for path in folder.iterdir()) == [MARK, "program"]


@pytest.mark.parametrize("left", ["x-1.partial", "x-1"])
def test_what_a_killed_install_left_is_not_taken_for_whole(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    (tmp_path / left / "half").touch()

    def make(into: Path) -> Mapping[str, str]:
        return {"program": "1"}

    folder = Cache(tmp_path).installed("x", "x-1", make, Telling())
    assert folder == tmp_path / "x-1"
    assert [path.name for path in folder.iterdir()] == [MARK]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-1", "x-1.lock"]


def test_two_who_want_the_same_install_it_once(tmp_path: Path) -> None:
    made: list[Path] = []
    both = threading.Barrier(2)
    found: list[Path] = []

    def make(into: Path) -> Mapping[str, str]:
        made.append(into)
        return {}

    def one() -> None:
        both.wait(10)
        found.append(Cache(tmp_path).installed("x", "x-1", make, Telling()))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(made), found) == (1, [tmp_path / "x-1"] * 2)


def test_who_waits_for_another_install_can_be_told_to_stop(tmp_path: Path) -> None:
    telling = Telling()
    telling.stopped.set()
    entered, leave = threading.Event(), threading.Event()

    def slow(into: Path) -> Mapping[str, str]:
        entered.set()
        leave.wait(10)
        return {}

    other = threading.Thread(target=lambda: Cache(tmp_path).installed("x", "x-1", slow, Telling()))
    other.start()
    assert entered.wait(10)
    with pytest.raises(Stopped):
        Cache(tmp_path).installed("x", "x-1", slow, telling)
    leave.set()
    other.join(10)


def test_folders_that_must_not_be_written_to_are_removed_too(tmp_path: Path) -> None:
    inner = tmp_path / "module" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0o500)
    discard(tmp_path / "module")
    assert list(tmp_path.iterdir()) == []
