"""Passwords: hashing off the loop, bounds, and which ones are refused."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from actors.runtime.ports import Overloaded
from serve.gateway.common_passwords import COMMON
from serve.gateway.passwords import Passwords, check_strength
from serve.gateway.problems import Problem


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=64, time_cost=1, threads=1, waiting=2)
    yield made
    made.close()


async def test_a_hash_verifies_only_its_password(passwords: Passwords) -> None:
    hashed = await passwords.hash("three wet umbrellas")
    assert hashed.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await passwords.verify("three wet umbrellas", hashed)
    assert not await passwords.verify("three wet umbrella", hashed)
    assert hashed != await passwords.hash("three wet umbrellas")


async def test_every_character_counts(passwords: Passwords) -> None:
    said = "  drei Schirme ☂️☂️ \t\x7f für Ödön  "
    check_strength(said)
    hashed = await passwords.hash(said)
    assert await passwords.verify(said, hashed)
    others = (said.strip(), said.replace("☂️", "☂"), said.replace("\t", " "), said.replace("Ö", "O"), said.lower())
    assert [await passwords.verify(other, hashed) for other in others] == [False] * 5


async def test_nobody_has_the_dummys_password(passwords: Passwords) -> None:
    assert not await passwords.verify("nobody has this password", None)


async def test_a_giant_password_costs_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify("x" * 257, await passwords.hash("x" * 256))


async def test_a_hash_of_another_cost_is_outdated(passwords: Passwords) -> None:
    hashed = await passwords.hash("three wet umbrellas")
    dearer = Passwords(memory_kib=128, time_cost=1)
    assert (passwords.is_outdated(hashed), dearer.is_outdated(hashed)) == (False, True)
    dearer.close()


async def test_beyond_the_bound_it_refuses_at_once_and_recovers(passwords: Passwords) -> None:
    gate = threading.Event()
    running = [asyncio.ensure_future(passwords._run(lambda: gate.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.hash("three wet umbrellas")
    gate.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await passwords.hash("three wet umbrellas")


def test_the_list_is_that_of_the_commonest() -> None:
    assert len(COMMON) >= 30_000
    assert COMMON.issuperset({"123456", "password", "qwertyuiop", "1q2w3e4r5t", "trustno1", "geekboy"})
    assert not any(word.startswith("#") or word != word.strip() or not word for word in COMMON)


@pytest.mark.parametrize(
    "password",
    [
        "short pw1",
        "7391846205z",
        "three wet umbrellas" * 7,
        "password1234",
        "Password123!",
        "qwertyuiop",
        "1234567890",
        "!!letmein!!99",
        "aaaaaaaaaaaa",
        "abababababab",
        "byron12345",
        "adabyron1815",
    ],
)
def test_weak_passwords(password: str) -> None:
    with pytest.raises(Problem, match="weak_password"):
        check_strength(password, "byron@example.com", "Ada Byron")


@pytest.mark.parametrize(
    "password",
    ["three wet umbrellas", "Tr0ub4dor&3xyz", "byron wrote don juan", "739184620538", "three wet umbrellas" * 6],
)
def test_good_passwords(password: str) -> None:
    check_strength(password, "byron@example.com", "Ada Byron")
