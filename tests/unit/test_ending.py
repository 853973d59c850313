"""Tests that are ended tear their fixtures down."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FIXTURE = """
import asyncio, signal, threading, pathlib, pytest

HERE = pathlib.Path(__file__).parent

@pytest.fixture(scope="module")
def shop():
    yield
    (HERE / "torn down").touch()
"""
BLOCKED = """
def test_it(shop):
    (HERE / "began").touch()
    threading.Event().wait(60)
"""
ASYNCHRONOUS = """
async def test_it(shop):
    (HERE / "began").touch()
    await asyncio.sleep(60)
"""
BEHIND_A_SHELL = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
"""


@pytest.mark.parametrize(
    "test",
    [BLOCKED, ASYNCHRONOUS, BEHIND_A_SHELL + BLOCKED, BEHIND_A_SHELL + ASYNCHRONOUS],
    ids=["blocked", "asynchronous", "blocked-behind-a-shell", "asynchronous-behind-a-shell"],
)
def test_sigterm_tears_fixtures_down(test: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FIXTURE + test)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_it.py")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually((tmp_path / "began").exists)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == pytest.ExitCode.INTERRUPTED
        assert (tmp_path / "torn down").exists()
    finally:
        running.kill()
        running.wait()
