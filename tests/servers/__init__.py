"""Where the real servers are that some tests need; ``make test-servers`` starts them and says so."""

import os

import pytest


def address(server: str) -> str:
    """The address of a server such as "MYSQL", from TROUPE_TEST_MYSQL_URL.

    Skips the test if this machine cannot run it (TROUPE_TEST_MYSQL_MISSING has the reason), fails it if nobody tried.
    """
    found = os.environ.get(f"TROUPE_TEST_{server}_URL")
    if found:
        return found
    reason = os.environ.get(f"TROUPE_TEST_{server}_MISSING")
    if reason:
        pytest.skip(f"{server} cannot be run here: {reason}")
    pytest.fail(f"TROUPE_TEST_{server}_URL is not set: make test-servers starts what this needs")
