"""``python -m deploy.servers``: what is asked for, what a command is given, and what is spoken to MongoDB."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import bson
import pytest

from deploy.servers import SERVICES, SHOP
from deploy.servers.__main__ import arguments, wait_for
from deploy.servers.environment import without_old
from deploy.servers.mongo_wire import decode, encode

ROOT = Path(__file__).resolve().parents[2]


def test_without_names_the_shops_servers_or_all() -> None:
    assert arguments(["up"])[0].names == list(SHOP)
    assert arguments(["run", "--settings", "--", "x"])[0].names == list(SHOP)
    assert arguments(["run", "--", "x"])[0].names == list(SERVICES)
    assert arguments(["install"])[0].names == list(SERVICES)


def test_what_stands_behind_the_dashes_is_the_commands() -> None:
    chosen, command = arguments(["run", "redis", "--port", "kafka-2=9092", "--", "pytest", "--", "-m"])
    assert (chosen.names, chosen.port, command) == (["redis"], [("kafka-2", 9092)], ["pytest", "--", "-m"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["run", "redis"], "run needs -- COMMAND"),
        (["up", "--", "x"], "up takes no command"),
        (["up", "oracle"], "there is no server 'oracle'"),
        (["up", "--port", "oracle=1"], "there is no server 'oracle'"),
        (["up", "--port", "redis=0"], "'redis=0' is not like kafka=9092"),
        (["up", "--brokers", "0"], "invalid choice: 0"),
    ],
)
def test_what_makes_no_sense_is_refused(given: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(given)
    assert says in capsys.readouterr().err


def test_a_command_does_not_see_an_outer_runs_servers() -> None:
    assert without_old({"TROUPE_TEST_REDIS_URL": "x", "TROUPE_REDIS_URL": "y"}) == {"TROUPE_REDIS_URL": "y"}


@pytest.mark.parametrize(
    ("script", "status"), [("exit 7", 7), ("kill -9 $$", 137), ('test "$TOLD" = yes', 0)], ids=["own", "killed", "told"]
)
def test_a_commands_status_is_handed_on(script: str, status: int) -> None:
    before = os.environ | {"TOLD": "yes"}
    code = "import os, sys; from deploy.servers.__main__ import wait_for; sys.exit(wait_for(sys.argv[1:], os.environ))"
    done = subprocess.run([sys.executable, "-c", code, "/bin/sh", "-c", script], cwd=ROOT, env=before, check=False)
    assert done.returncode == status


def test_a_command_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for(["/nowhere/nothing"], {}) == 127
    assert capsys.readouterr().err == "/nowhere/nothing cannot be run: No such file or directory\n"


def test_documents_are_written_as_the_driver_reads_them() -> None:
    document = {"hello": 1, "ok": True, "ratio": 0.5, "name": "ü", "in": {"list": [1, {"a": -1}]}}
    assert bson.decode(encode(document)) == document
    assert decode(encode(document)) == document


def test_documents_of_the_driver_are_read() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    written = {
        "id": bson.ObjectId(),
        "at": now,
        "raw": b"xyz",
        "nothing": None,
        "small": 3,
        "at2": bson.Timestamp(1, 2),
    }
    read = decode(bson.encode({**written, "last": "x"}))
    assert read == {"id": None, "at": None, "raw": None, "nothing": None, "small": 3, "at2": None, "last": "x"}


def test_what_is_never_sent_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes is not written"):
        encode({"raw": b""})
