"""A server that this machine cannot run is named with its reason."""

import io
import platform
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from deploy.servers import Servers, debian, fleet
from deploy.servers import mongo as mongo_module
from deploy.servers.cache import Cache
from deploy.servers.environment import for_a_shop, for_tests
from deploy.servers.maven import java, maven
from deploy.servers.mongo import Mongo
from deploy.servers.mysql import MySQL
from deploy.servers.server import Choices, Service, is_free
from deploy.servers.telling import Missing, Telling
from deploy.servers.toxiproxy import Toxiproxy


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on its PATH but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(debian, "on_path", lambda *_: None)
    return tmp_path


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (folder / name).chmod(0o755)


def told() -> tuple[Telling, io.StringIO]:
    text = io.StringIO()
    return Telling(Console(file=text, width=500)), text


def test_without_java_and_maven(bare: Path) -> None:
    with pytest.raises(Missing, match=r"^Kafka needs Java 17 or newer; there is no java on this machine$"):
        java("Kafka", 17)
    with pytest.raises(Missing, match=r"^Kafka is downloaded by Maven, and there is no mvn on this machine$"):
        maven("Kafka")


@pytest.mark.parametrize("age", ["11", "25"])
def test_java_too_old_or_too_new(bare: Path, age: str) -> None:
    program(bare, "java", f'openjdk version "{age}.0.2" 2025-01-01')
    with pytest.raises(Missing, match=rf"^Elasticsearch needs Java 17 to 23; this machine has {age}$"):
        java("Elasticsearch", 17, 23)


def test_the_java_of_the_path_is_taken_if_the_one_of_java_home_is_too_old(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "old" / "bin").mkdir(parents=True)
    program(bare / "old" / "bin", "java", 'java version "1.8.0_392"')
    program(bare, "java", 'openjdk version "21" 2023-09-19')
    monkeypatch.setenv("JAVA_HOME", str(bare / "old"))
    assert java("Kafka", 17) == bare / "java"


def test_without_go(bare: Path) -> None:
    with pytest.raises(Missing, match=r"^toxiproxy is built by Go, and there is no go on this machine$"):
        Toxiproxy(Choices(bare)).install(Cache(bare), Telling())


def test_without_apt(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Missing, match=r"^redis is not installed, and there is no apt-get to download it with$"):
        debian.suites("redis", None)
    monkeypatch.setattr(debian, "release", lambda: {"ID": "fedora"})
    with pytest.raises(Missing, match=r"^mysqld is not installed, and can be unpacked aside only on Debian"):
        MySQL(Choices(bare)).install(Cache(bare), Telling())


def test_mongod_on_another_processor(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Missing, match="only for Linux on x86_64, not aarch64"):
        Mongo(Choices(bare)).install(Cache(bare), Telling())


def test_mongod_without_avx(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_module, "has_avx", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(Missing, match="AVX"):
        Mongo(Choices(bare)).install(Cache(bare), Telling())


class Here(Service):
    """A service that needs no server of its own."""

    def install(self, cache: Cache, telling: Telling) -> None:
        pass

    def arrange(self) -> None:
        pass

    def start(self, telling: Telling) -> None:
        pass

    def url(self) -> str:
        return f"{self.name}://here"

    def settings(self) -> dict[str, str]:
        return {"TROUPE_MYSQL_URL": self.url()}


class Absent(Here):
    def install(self, cache: Cache, telling: Telling) -> None:
        raise Missing("no line to the moon")


def test_a_command_is_told_addresses_and_reasons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {"redis": type("R", (Here,), {"name": "redis"}), "kafka": type("K", (Absent,), {"name": "kafka"})}
    monkeypatch.setattr(fleet, "SERVICES", known)
    telling, text = told()
    with Servers(["redis", "kafka"], telling=telling, cache=Cache(tmp_path)) as servers:
        assert for_tests(servers.running, servers.missing) == {
            "TROUPE_TEST_REDIS_URL": "redis://here",
            "TROUPE_TEST_KAFKA_MISSING": "no line to the moon",
        }
    assert "kafka          NOT HERE: no line to the moon" in text.getvalue()


def test_mariadb_stands_in_for_mysql_with_a_loud_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {"mysql": type("S", (Absent,), {"name": "mysql"}), "mariadb": type("M", (Here,), {"name": "mariadb"})}
    monkeypatch.setattr(fleet, "SERVICES", known)
    telling, text = told()
    with Servers(["mysql"], telling=telling, cache=Cache(tmp_path)) as servers:
        assert for_tests(servers.running, servers.missing) == {"TROUPE_TEST_MYSQL_URL": "mariadb://here"}
        assert for_a_shop(servers.running) == {"TROUPE_MYSQL_URL": "mariadb://here"}
    assert "MYSQL IS NOT HERE (no line to the moon): MARIADB STANDS IN FOR IT" in text.getvalue()


def test_a_server_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^there is no server oracle; there are mysql, mariadb, mongo, "):
        Servers(["oracle"])


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(Missing, match=rf"^port {port} is taken; --port redis=NUMBER chooses another$"):
            type("R", (Here,), {"name": "redis"})(Choices(tmp_path, ports={"redis": port})).port_of("redis", tmp_path)


class Interrupted(Exception):
    pass


def test_whoever_breaks_off_waits_until_nothing_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tidied = threading.Event()

    class Slow(Here):
        name = "redis"

        def install(self, cache: Cache, telling: Telling) -> None:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                telling.pause(20)
            finally:
                tidied.wait(0.3)  # nobody sets it: what is left to do takes a while
                tidied.set()

    def interrupt(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(fleet, "SERVICES", {"redis": Slow})
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            Servers(["redis"], telling=told()[0], cache=Cache(tmp_path)).install()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert tidied.is_set()
