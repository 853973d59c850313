"""Failed log-ins: they slow down and lock, by account and by address, but nobody can lock out another for good.

An attempt counts as failed from its start, before the password is looked at, so that many at once are not all free. Up
to a number of failures nothing happens; each one beyond it shuts the way for twice as long as the one before, up to a
limit, and failures leak away with time. Whoever brings the token of a device that this account has logged in from is
counted by that device alone: strangers' failures are not the owner's.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa

from pipelines.sql.retrying import transaction
from pipelines.sql.words import insert_missing
from serve.users.devices import plain
from serve.users.tables import create, failures

_SECOND = 1000
_MINUTE = 60_000


class Rule(NamedTuple):
    """`free` failures without a delay; one is forgotten every `leak` ms; a delay is at most `longest` ms."""

    free: int
    leak: int
    longest: int

    def delay(self, count: float) -> int:
        """Milliseconds until the next attempt after this many failures."""
        beyond = round(count) - self.free
        return min(self.longest, _SECOND * 2 ** min(beyond - 1, 30)) if beyond > 0 else 0


PAIR = Rule(free=5, leak=15 * _MINUTE, longest=15 * _MINUTE)
"""One address at one account, or one known device at it."""
ADDRESS = Rule(free=100, leak=_MINUTE, longest=15 * _MINUTE)
"""One address at all accounts: many customers may stand behind it."""
ACCOUNT = Rule(free=50, leak=5 * _MINUTE, longest=5 * _MINUTE)
"""All strangers at one account."""
_FORGOTTEN = 24 * 60 * _MINUTE


class Attempt(NamedTuple):
    """Who is counted by which rule; `own` is cleared when the attempt succeeds, the others get back this one only."""

    own: str
    shared: tuple[tuple[str, Rule], ...] = ()

    @property
    def rules(self) -> dict[str, Rule]:
        return {self.own: PAIR, **dict(self.shared)}


def attempt(secret: bytes, account: str, address: str | None, device: str | None) -> Attempt:
    """`account`: the folded email, whether or not somebody has it; `device`: one that is known for it. The keys tell
    nobody who is meant."""

    def key(*parts: str) -> str:
        return hmac.new(secret, "\n".join(parts).encode(), sha256).hexdigest()

    if device is not None:
        return Attempt(key("device", account, device))
    network = _network(address)
    shared = [(key("account", account), ACCOUNT)]
    if network:
        shared.append((key("address", network), ADDRESS))
    return Attempt(key("pair", account, network), tuple(shared))


def _network(address: str | None) -> str:
    """A caller has a whole /64 of IPv6 addresses."""
    if address is None:
        return ""
    found = plain(address)
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


class AttemptsStore:
    """Every call blocks, and is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    @transaction(again=True)
    def begin(self, made: Attempt, now: int) -> int:
        """Counts the attempt as failed and answers 0; or milliseconds to wait, and counts nothing."""
        rules = made.rules
        unknown = [{"who": who, "count": 0.0, "at": now, "shut_until": now} for who in sorted(rules)]
        known = sa.select(failures).where(failures.c.who.in_(sorted(rules))).with_for_update()
        with self._writing.begin() as connection:
            rows = connection.execute(known).all()
            if len(rows) < len(rules):
                connection.execute(failures.delete().where(failures.c.at < now - _FORGOTTEN))
                insert_missing(connection, failures, unknown)
                rows = connection.execute(known).all()  # all of them, and nobody else counts now
            wait: int = max(row.shut_until - now for row in rows)
            if wait > 0:
                connection.rollback()
                return wait
            for row in rows:
                rule = rules[row.who]
                count = max(0.0, row.count - (now - row.at) / rule.leak) + 1
                values = {"count": count, "at": now, "shut_until": now + rule.delay(count)}
                connection.execute(failures.update().where(failures.c.who == row.who).values(values))
        return 0

    @transaction(again=False)
    def succeeded(self, made: Attempt, now: int) -> None:
        """The attempt was no failure, and those of its own before it are forgiven."""
        with self._writing.begin() as connection:
            connection.execute(failures.delete().where(failures.c.who == made.own))
            _give_back(connection, [who for who, _ in made.shared], now)

    @transaction(again=False)
    def undecided(self, made: Attempt, now: int) -> None:
        """The password was not looked at after all."""
        with self._writing.begin() as connection:
            _give_back(connection, list(made.rules), now)


def _give_back(connection: sa.Connection, keys: Sequence[str], now: int) -> None:
    # While a way is shut at all, this attempt is the only one on it: opening it opens it for nobody else's failure.
    values = {"count": failures.c.count - 1, "shut_until": now}
    connection.execute(failures.update().where(failures.c.who.in_(keys), failures.c.count >= 1).values(values))
