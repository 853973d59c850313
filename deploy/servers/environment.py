"""What a command that is run on the servers finds in its environment."""

from collections.abc import Mapping

from deploy.servers.server import Service


def for_tests(running: Mapping[str, Service], missing: Mapping[str, str]) -> dict[str, str]:
    """TROUPE_TEST_<NAME>_URL of each server that runs, TROUPE_TEST_<NAME>_MISSING with the reason of the others."""
    found = {f"TROUPE_TEST_{name.upper()}_URL": service.url() for name, service in running.items()}
    return found | {f"TROUPE_TEST_{name.upper()}_MISSING": reason for name, reason in missing.items()}


def for_a_shop(running: Mapping[str, Service]) -> dict[str, str]:
    """The settings of a shop that uses the servers that run."""
    return {name: value for service in running.values() for name, value in service.settings().items()}


def without_old(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what an outer run of servers put into it."""
    return {name: value for name, value in environment.items() if not name.startswith("TROUPE_TEST_")}
