"""Keys and tokens: rotation, what is believed, what is not."""

import asyncio
import base64
import json
import stat
from pathlib import Path

import jwt
import pytest
import sqlalchemy as sa

from serve.gateway.keys import DAY, PERIOD, Keys, signing_keys
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.gateway.tokens import Tokens
from serve.users.store import open_engine
from tests.databases import Databases

START = 660 * PERIOD + 5 * DAY


class Time:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def engine(databases: Databases) -> sa.Engine:
    return open_engine(databases("users"))


def make(engine: sa.Engine, time: Time, remembered: int = 100) -> Tokens:
    return Tokens(Keys(engine, time), remembered=remembered, now=time)


async def refused(tokens: Tokens, token: str) -> str:
    with pytest.raises(Problem) as caught:
        await tokens.verify(token)
    assert (caught.value.status, caught.value.code) == (401, "invalid_token")
    return caught.value.detail


def with_header(token: str, **changes: str) -> str:
    head, _, rest = token.partition(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    changed = json.dumps({**header, **changes}).encode()
    return base64.urlsafe_b64encode(changed).decode().rstrip("=") + "." + rest


async def test_a_users_token_says_who_they_are(engine: sa.Engine) -> None:
    tokens = make(engine, Time())
    token = await tokens.access("u1", ["staff"], "s1")
    assert await tokens.verify(token) == Principal("user", "u1", frozenset({"staff"}), "s1")
    assert jwt.get_unverified_header(token)["alg"] == "RS256"


async def test_a_guests_token_says_whose_cart(engine: sa.Engine) -> None:
    tokens = make(engine, Time())
    token = await tokens.guest("g1")
    assert await tokens.verify(token) == Principal("guest", "g1")
    assert jwt.get_unverified_header(token)["typ"] == "guest+jwt"


async def test_tokens_expire_also_when_remembered(engine: sa.Engine) -> None:
    time = Time()
    tokens = make(engine, time)
    token = await tokens.access("u1", [], "s1")
    guest = await tokens.guest("g1")
    assert tokens.known(token) is None
    await tokens.verify(token)
    assert tokens.known(token) == Principal("user", "u1", session="s1")
    time.now += 300_000
    assert tokens.known(token) is None
    assert "expired" in await refused(tokens, token)
    time.now += 89 * DAY
    assert (await tokens.verify(guest)).id == "g1"
    time.now += 2 * DAY
    assert "expired" in await refused(tokens, guest)


async def test_what_is_remembered_is_bounded(engine: sa.Engine) -> None:
    tokens = make(engine, Time(), remembered=3)
    guests = [await tokens.guest(f"g{number}") for number in range(5)]
    for guest in guests:
        await tokens.verify(guest)
    assert [tokens.known(guest) is not None for guest in guests] == [False, False, True, True, True]


async def test_what_is_not_believed(engine: sa.Engine, databases: Databases) -> None:
    time = Time()
    tokens = make(engine, time)
    ring = await Keys(engine, time).ring()
    token, guest = await tokens.access("u1", [], "s1"), await tokens.guest("g1")
    others = make(open_engine(databases("users", "other")), time)
    claims = {"iss": "troupe", "sub": "g1", "sid": "s", "roles": ["admin"], "exp": time.now // 1000 + 60}
    public_numbers = ring.jwks["keys"][0]["n"]
    as_hmac = jwt.encode(claims, public_numbers, "HS256", {"kid": ring.kid, "typ": "at+jwt"})
    unsigned = jwt.encode(claims, "", "none", {"kid": ring.kid, "typ": "at+jwt"})
    no_session = jwt.encode(
        {k: claims[k] for k in ("iss", "sub", "exp")}, ring.signing, "RS256", {"kid": ring.kid, "typ": "at+jwt"}
    )
    other_issuer = jwt.encode({**claims, "iss": "x"}, ring.guest_secret, "HS256", {"typ": "guest+jwt"})
    for bad in (
        "",
        "a.b.c",
        "x" * 5000,
        token[:-4] + "AAAA",
        with_header(token, typ="guest+jwt"),
        with_header(token, kid="unknown"),
        with_header(token, typ="JWT"),
        with_header(guest, typ="at+jwt"),
        with_header(guest, typ="at+jwt", kid=ring.kid),
        as_hmac,
        unsigned,
        no_session,
        other_issuer,
        await others.access("u1", [], "s1"),
        await others.guest("g1"),
    ):
        await refused(tokens, bad)
        assert tokens.known(bad) is None


async def test_a_key_is_published_before_it_signs_and_outlives_its_period(engine: sa.Engine) -> None:
    time = Time()
    keys = Keys(engine, time)
    tokens = Tokens(keys, now=time)
    first = await keys.ring()
    assert [key["kid"] for key in first.jwks["keys"]] == [first.kid]
    assert set(first.jwks["keys"][0]) == {"kty", "use", "alg", "kid", "n", "e"}
    time.now = 661 * PERIOD - DAY // 2
    ahead = await keys.ring()
    assert (ahead.kid, len(ahead.jwks["keys"])) == (first.kid, 2)
    time.now = 661 * PERIOD - 60_000
    token = await tokens.access("u1", [], "s1")
    time.now = 661 * PERIOD + 60_000
    second = await keys.ring()
    assert second.kid != first.kid
    assert second.kid in ahead.verifying
    assert (await tokens.verify(token)).id == "u1"
    time.now = 662 * PERIOD + 1
    third = await keys.ring()
    assert set(third.verifying) == {second.kid, third.kid}
    with engine.connect() as connection:
        assert sorted(connection.scalars(sa.select(signing_keys.c.period))) == [661, 662]


async def test_processes_agree_on_the_keys(engine: sa.Engine) -> None:
    time = Time()
    rings = await asyncio.gather(*(Keys(engine, time).ring() for _ in range(3)))
    assert len({ring.kid for ring in rings}) == 1
    assert len({ring.guest_secret for ring in rings}) == 1
    one, other = make(engine, time), make(engine, time)
    assert (await other.verify(await one.access("u1", [], "s1"))).id == "u1"


async def test_a_key_made_by_another_process_is_found(engine: sa.Engine) -> None:
    time = Time(661 * PERIOD - DAY // 2)
    early = Keys(engine, time)
    tokens = Tokens(early, now=time)
    ring = await early.ring()
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(signing_keys.delete().where(signing_keys.c.period == 661))
    time.now += 20_000
    other = await Keys(engine, time).ring()
    unknown = (set(other.verifying) - set(ring.verifying)).pop()
    claims = {"iss": "troupe", "sub": "u1", "sid": "s", "roles": [], "exp": time.now // 1000 + 60}
    with engine.connect() as connection:
        pem = connection.scalar(sa.select(signing_keys.c.pem).where(signing_keys.c.kid == unknown))
    assert pem is not None
    token = jwt.encode(claims, pem, "RS256", {"kid": unknown, "typ": "at+jwt"})
    assert (await tokens.verify(token)).id == "u1"


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_the_file_of_the_keys_is_its_owners_only(engine: sa.Engine, tmp_path: Path) -> None:
    asyncio.run(make(engine, Time()).guest("g1"))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("users.db*")]
    assert set(modes) == {0o600}


def test_access_tokens_never_live_long(engine: sa.Engine) -> None:
    with pytest.raises(ValueError, match="1 to 300 seconds"):
        Tokens(Keys(engine), access_seconds=301)
