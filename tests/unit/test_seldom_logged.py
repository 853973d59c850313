"""A server that is away must not fill the disk with logs."""

import logging

import pytest

from serve.gateway import logs


@pytest.mark.parametrize("name", logs.TALKATIVE)
def test_what_a_library_repeats_is_logged_once_in_a_while(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logs.configure()
    logger = logging.getLogger(name)
    for node in range(1000):
        logger.error("Unable connect to node with id %s", node)
    logger.error("Something else")
    assert [one.getMessage() for one in caplog.records] == ["Unable connect to node with id 0", "Something else"]
    caplog.clear()
    later = logger.makeRecord(name, logging.ERROR, "", 0, "Unable connect to node with id %s", (1,), None)
    later.created += logs.SELDOM_SECONDS
    logger.handle(later)
    assert [one.getMessage() for one in caplog.records] == ["Unable connect to node with id 1 (and 999 more like it)"]


def test_to_configure_twice_changes_nothing() -> None:
    logs.configure()
    before = {name: list(logging.getLogger(name).filters) for name in logs.TALKATIVE}
    logs.configure()
    assert {name: list(logging.getLogger(name).filters) for name in logs.TALKATIVE} == before
