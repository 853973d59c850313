"""Failed log-ins slow down and lock; the rules alone, over a database."""

from collections.abc import Iterator

import pytest

from serve.users.attempts import ACCOUNT, ADDRESS, PAIR, Attempt, AttemptsStore, attempt
from serve.users.store import open_engine
from tests.databases import Databases

SECRET = b"secret"
NOW = 1_764_000_000_000
MINUTE = 60_000


@pytest.fixture
def store(databases: Databases) -> Iterator[AttemptsStore]:
    engine = open_engine(databases("users"))
    yield AttemptsStore(engine)
    engine.dispose()


def made(account: str = "ada@example.com", address: str | None = "203.0.113.9", device: str | None = None) -> Attempt:
    return attempt(SECRET, account, address, device)


def fail(store: AttemptsStore, times: int, one: Attempt, now: int = NOW) -> None:
    for _ in range(times):
        assert store.begin(one, now) == 0


def test_delays_double_up_to_a_limit() -> None:
    assert [PAIR.delay(count) for count in (1, 5, 5.4, 6, 7, 8, 15, 16, 17, 10**6)] == [
        0,
        0,
        0,
        1000,
        2000,
        4000,
        512_000,
        900_000,
        900_000,
        900_000,
    ]


def test_one_address_at_one_account_is_slowed_down(store: AttemptsStore) -> None:
    fail(store, 6, made())
    assert store.begin(made(), NOW) == 1000
    assert store.begin(made(), NOW + 999) == 1
    assert store.begin(made(), NOW + 1000) == 0
    assert store.begin(made(), NOW + 1000) == 2000
    # The same network elsewhere, and others at the account, are not.
    assert store.begin(made("bob@example.com"), NOW + 1000) == 0
    assert store.begin(made(address="198.51.100.1"), NOW + 1000) == 0


def test_what_was_refused_is_not_counted(store: AttemptsStore) -> None:
    fail(store, 6, made())
    assert {store.begin(made(), NOW) for _ in range(50)} == {1000}
    assert store.begin(made(), NOW + 1000) == 0


def test_failures_leak_away(store: AttemptsStore) -> None:
    fail(store, 5, made())
    assert store.begin(made(), NOW + 5 * PAIR.leak) == 0
    fail(store, 4, made(), NOW + 5 * PAIR.leak)
    assert store.begin(made(), NOW + 5 * PAIR.leak) == 0


def test_all_strangers_together_are_slowed_down_at_one_account(store: AttemptsStore) -> None:
    for n in range(ACCOUNT.free + 1):
        fail(store, 1, made(address=f"198.51.100.{n}"))
    assert store.begin(made(), NOW) == 1000


def test_an_address_is_slowed_down_at_all_accounts(store: AttemptsStore) -> None:
    for n in range(ADDRESS.free + 1):
        fail(store, 1, made(f"{n}@example.com"))
    assert store.begin(made("new@example.com"), NOW) == 1000
    assert store.begin(made("new@example.com", address=None), NOW) == 0


def test_addresses_of_one_ipv6_network_are_one(store: AttemptsStore) -> None:
    for n in range(6):
        fail(store, 1, made(address=f"2001:db8:0:1::{n}"))
    assert store.begin(made(address="2001:db8:0:1:ffff::9"), NOW) == 1000
    assert store.begin(made(address="2001:db8:0:2::9"), NOW) == 0
    assert made(address="::ffff:203.0.113.9") == made()


def test_a_known_device_is_not_locked_out_by_strangers(store: AttemptsStore) -> None:
    for n in range(ACCOUNT.free + 1):
        fail(store, 1, made(address=f"198.51.100.{n}"))
    own = made(address="198.51.100.1", device="phone")
    fail(store, 6, own)
    assert store.begin(own, NOW) == 1000
    assert store.begin(made(device="laptop"), NOW) == 0


def test_success_forgives_the_pair_and_takes_itself_back_elsewhere(store: AttemptsStore) -> None:
    for n in range(ADDRESS.free):
        fail(store, 1, made(f"{n}@example.com"))
    for _ in range(3):
        assert store.begin(made(), NOW) == 0
        store.succeeded(made(), NOW)
    # The account of one's own does not clear the address for guessing at others.
    fail(store, 1, made("victim@example.com"))
    assert store.begin(made(), NOW) == 1000


def test_an_attempt_that_was_not_looked_at_does_not_count(store: AttemptsStore) -> None:
    for _ in range(20):
        assert store.begin(made(), NOW) == 0
        store.undecided(made(), NOW)


def test_many_at_once_are_not_all_free(store: AttemptsStore) -> None:
    """Counted at their start: only six of them pass before one has been looked at."""
    assert [store.begin(made(), NOW) == 0 for _ in range(20)] == [True] * 6 + [False] * 14


def test_old_failures_are_forgotten(store: AttemptsStore) -> None:
    fail(store, 6, made())
    assert store.begin(made("bob@example.com"), NOW + 25 * 60 * MINUTE) == 0
    assert store.begin(made(), NOW + 25 * 60 * MINUTE) == 0


def test_keys_tell_nobody() -> None:
    assert "ada@" not in str(made())
    assert "203.0" not in str(made())
