"""The keys that tokens are signed with: RSA keys, one a period, and one secret for guest tokens, kept in users.db.

Time is cut into periods. The key of a period is made a day before it begins, so that others have it from
/.well-known/jwks.json before the first token it signs, and stays valid for one period more. Two processes that make
the same key at once agree on the row that was first. Keys that are given stand as they are: who gives them renews them.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from pipelines.sql.retrying import transaction
from pipelines.sql.words import is_mysql
from serve.gateway import clock

DAY = 86_400_000
PERIOD = 30 * DAY
PUBLISHED_AHEAD = DAY
RELOAD_AFTER = 10_000
_BITS = 2048

metadata = sa.MetaData()
signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("period", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kid", sa.String(32), nullable=False, unique=True),
    sa.Column("pem", sa.Text, nullable=False),
)
token_secrets = sa.Table(
    "token_secrets",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys as they stand in one period."""

    period: int
    kid: str
    signing: rsa.RSAPrivateKey
    verifying: Mapping[str, rsa.RSAPublicKey]
    guest_secret: bytes
    jwks: dict[str, Any]
    has_next: bool


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Keys from the settings. `pem`: one RSA key or more; the first signs, all verify."""

    pem: str
    guest_secret: bytes


class Keys:
    """Loads the ring when it is first needed, and again when a period begins or another process made a key."""

    def __init__(
        self, engine: sa.Engine, now: Callable[[], int] = clock.now_ms, given: GivenKeys | None = None
    ) -> None:
        self._engine = engine.execution_options(writes=True)
        self._now = now
        self._given = given
        self._ring: KeyRing | None = None
        self._loaded_at = 0
        self._loading = asyncio.Lock()

    async def ring(self, kid: str | None = None) -> KeyRing:
        """The ring of now. With a `kid` it lacks, it is read again, but at most once in ten seconds."""
        ring = self._ring
        if ring is not None and self._is_current(ring) and (kid is None or kid in ring.verifying):
            return ring
        async with self._loading:
            ring = self._ring
            if ring is None or not self._is_current(ring) or self._now() - self._loaded_at > RELOAD_AFTER:
                ring = self._ring = await asyncio.to_thread(self._load, self._now())
                self._loaded_at = self._now()
        return ring

    def _is_current(self, ring: KeyRing) -> bool:
        now = self._now()
        return ring.period == now // PERIOD and (ring.has_next or not _is_near_the_end(now))

    @transaction(again=True)
    def _load(self, now: int) -> KeyRing:
        period = now // PERIOD
        if self._given is not None:
            return _given_ring(period, self._given)
        wanted = {period, period + 1} if _is_near_the_end(now) else {period}
        with self._engine.begin() as connection:
            if not is_mysql(connection):  # there `troupe setup` did
                metadata.create_all(connection)
            have = set(connection.scalars(sa.select(signing_keys.c.period)))
        made = [{"period": p, "kid": secrets.token_hex(8), "pem": new_pem()} for p in sorted(wanted - have)]
        with self._engine.begin() as connection:
            for row in made:
                _insert_unless_there(connection, signing_keys, row)
            _insert_unless_there(connection, token_secrets, {"name": "guest", "value": secrets.token_bytes(32)})
            connection.execute(signing_keys.delete().where(signing_keys.c.period < period - 1))
            rows = connection.execute(sa.select(signing_keys)).all()
            secret = connection.scalar(sa.select(token_secrets.c.value).where(token_secrets.c.name == "guest"))
        assert secret is not None
        return _ring(period, [(row.period, row.kid, row.pem) for row in rows], secret)


def private_keys(pem: str) -> list[rsa.RSAPrivateKey]:
    """The keys in a text. Raises ValueError if there are none, or one is no RSA key of 2048 bits or more."""
    blocks = re.findall(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", pem, flags=re.DOTALL)
    found = []
    for block in blocks:
        try:
            key = serialization.load_pem_private_key(block.encode(), password=None)
        except (ValueError, TypeError):  # what it says may repeat a part of the key
            raise ValueError("not a private key in PEM without a password") from None
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _BITS:
            raise ValueError(f"not an RSA key of {_BITS} bits or more")
        found.append(key)
    if not found:
        raise ValueError("not a private key in PEM")
    return found


def _given_ring(period: int, given: GivenKeys) -> KeyRing:
    private = {_kid(key): key for key in private_keys(given.pem)}
    public = {kid: key.public_key() for kid, key in private.items()}
    jwks = {"keys": [_jwk(kid, key) for kid, key in public.items()]}
    kid = next(iter(private))
    return KeyRing(period, kid, private[kid], public, given.guest_secret, jwks, has_next=True)


def _kid(key: rsa.RSAPrivateKey) -> str:
    form, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_key().public_bytes(form, kind)).hexdigest()[:16]


def _is_near_the_end(now: int) -> bool:
    return PERIOD - now % PERIOD <= PUBLISHED_AHEAD


def _insert_unless_there(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    try:
        with connection.begin_nested():
            connection.execute(table.insert().values(row))
    except sa.exc.IntegrityError:
        pass


def new_pem() -> str:
    """A new private key, as a text."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode("ascii")


def _ring(period: int, rows: list[tuple[int, str, str]], guest_secret: bytes) -> KeyRing:
    private: dict[str, rsa.RSAPrivateKey] = {}
    kid_now = ""
    for key_period, kid, pem in rows:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        private[kid] = key
        if key_period == period:
            kid_now = kid
    public = {kid: key.public_key() for kid, key in private.items()}
    jwks = {"keys": [_jwk(kid, key) for kid, key in public.items()]}
    has_next = any(key_period == period + 1 for key_period, _, _ in rows)
    return KeyRing(period, kid_now, private[kid_now], public, guest_secret, jwks, has_next)


def _jwk(kid: str, key: rsa.RSAPublicKey) -> dict[str, Any]:
    parts = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": parts["n"], "e": parts["e"]}
