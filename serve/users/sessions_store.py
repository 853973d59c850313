"""Sessions, as rows. Every call blocks, and is one transaction.

A row keeps how often its refresh token was exchanged (`generation`); the tokens themselves are made from the row's
secret, so an old one can be told from a forged one, and nothing grows with the number of exchanges.
"""

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from pipelines.events.users import UserLoggedIn
from pipelines.sql.retrying import transaction
from pipelines.sql.words import next_place
from serve.users.tables import Session, create, ended_sessions, exchange_codes, identities, sessions, users
from serve.users.telling import lock, tell

REMEMBERED = 10 * 60_000
"""Milliseconds that the end of a session is told to whoever verifies access tokens: longer than any of them lives."""


MOST = 50
"""Sessions that a user may have at once."""


class Opening(NamedTuple):
    """What opening a session does besides. `verified`: the hash that the password was right for, if it was one: it must
    still be the account's. `rehashed` takes its place. `by`, `known_device`: as in UserLoggedIn."""

    by: str
    known_device: bool
    verified: str | None = None
    rehashed: str | None = None


class SessionsStore:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    @transaction(again=False)
    def open_session(self, session: Session, opening: Opening) -> list[str] | None:
        """Also forgets the sessions that have expired by its start, and ends those beyond `MOST`: their ids. None, and
        nothing is done: the account is gone or its password is another by now."""
        now = session.created_at
        this = sa.and_(users.c.id == session.user_id, users.c.deleted_at.is_(None))
        linked = sa.exists().where(identities.c.user_id == session.user_id, identities.c.provider == opening.by)
        # Whatever proved who it is must still be a way in.
        found = sa.and_(this, linked if opening.verified is None else users.c.password == opening.verified)
        values: dict[str, int | str] = {"logged_in_at": now}
        if opening.rehashed is not None:
            values["password"] = opening.rehashed
        with self._writing.begin() as connection:
            # What is linked is looked up after it: a reset may just be taking it away, with all sessions.
            lock(connection, session.user_id)
            if connection.execute(users.update().where(found).values(values)).rowcount == 0:
                return None
            connection.execute(sessions.delete().where(sessions.c.expires_at <= now))
            connection.execute(sessions.insert().values(msgspec.structs.asdict(session)))
            event = UserLoggedIn(session.id, opening.known_device, opening.by, now)
            tell(connection, session.user_id, event, at=now)
            mine = sa.and_(sessions.c.user_id == session.user_id, sessions.c.ended.is_(None))
            newest = sa.select(sessions.c.id).where(mine).order_by(sessions.c.exchanged_at.desc(), sessions.c.id)
            beyond = list(connection.scalars(newest.offset(MOST)))
            return end(connection, sessions.c.id.in_(beyond), "too_many", now) if beyond else []

    def has_seen(self, user_id: str, device: str, address: str) -> bool:
        """Whether the user had a session from a device of this name at this address."""
        same = sa.and_(sessions.c.user_id == user_id, sessions.c.device == device, sessions.c.address == address)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sessions.c.id).where(same).limit(1)).first() is not None

    def session(self, session_id: str) -> Session | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
        return None if row is None else Session(**row._mapping)

    def of_user(self, user_id: str, now: int) -> list[Session]:
        """Those that have not ended, the one that was used last first."""
        mine = sa.and_(sessions.c.user_id == user_id, sessions.c.ended.is_(None), sessions.c.expires_at > now)
        query = sa.select(sessions).where(mine).order_by(sessions.c.exchanged_at.desc(), sessions.c.id)
        with self._engine.connect() as connection:
            return [Session(**row._mapping) for row in connection.execute(query)]

    @transaction(again=True)  # then it was somebody else's exchange, which its repetition is told the outcome of
    def exchange(self, session: Session, generation: int, now: int, expires_at: int) -> bool:
        """Counts an exchange, and notes where it came from; false if this generation is no longer the current one, or
        the session has ended."""
        current = sa.and_(sessions.c.id == session.id, sessions.c.generation == generation, sessions.c.ended.is_(None))
        values = {
            "generation": generation + 1,
            "exchanged_at": now,
            "expires_at": expires_at,
            "device": session.device,
            "address": session.address,
        }
        with self._writing.begin() as connection:
            return connection.execute(sessions.update().where(current).values(values)).rowcount == 1

    def end_session(self, session_id: str, reason: str, now: int, of: str | None = None) -> list[str]:
        """`of`: the user whose it must be. The ids of what ended."""
        this = sessions.c.id == session_id
        return self._end(this if of is None else sa.and_(this, sessions.c.user_id == of), reason, now)

    def end_sessions(self, user_id: str, reason: str, now: int, but: str = "") -> list[str]:
        """All of the user's sessions, except the one named by `but`. The ids of what ended."""
        return self._end(sa.and_(sessions.c.user_id == user_id, sessions.c.id != but), reason, now)

    @transaction(again=False)
    def _end(self, where: sa.ColumnElement[bool], reason: str, now: int) -> list[str]:
        with self._writing.begin() as connection:
            return end(connection, where, reason, now)

    def ended_after(self, position: int, since: int) -> list[tuple[int, str, int]]:
        """Position, session and time of what ended behind `position`, and not before `since`; in order."""
        columns = ended_sessions.c
        query = (
            sa.select(columns.position, columns.session, columns.at)
            .where(columns.position > position, columns.at >= since)
            .order_by(columns.position)
        )
        with self._engine.connect() as connection:
            return [(row.position, row.session, row.at) for row in connection.execute(query)]


def end(connection: sa.Connection, where: sa.ColumnElement[bool], reason: str, now: int) -> list[str]:
    """Ends the sessions within the caller's transaction, so that the gateway hears of it. Their ids."""
    open_ones = sa.and_(where, sessions.c.ended.is_(None))
    ids = list(connection.scalars(sa.select(sessions.c.id).where(open_ones).with_for_update()))
    if ids:
        connection.execute(sessions.update().where(sessions.c.id.in_(ids)).values(ended=reason))
        first = next_place(connection, len(ids))
        rows = [{"session": session, "at": now} for session in ids]
        if first is not None:
            rows = [{**row, "position": first + number} for number, row in enumerate(rows)]
        connection.execute(ended_sessions.delete().where(ended_sessions.c.at < now - REMEMBERED))
        connection.execute(ended_sessions.insert(), rows)
    return ids


def forget(connection: sa.Connection, user_id: str, now: int) -> None:
    """Ends and deletes whatever let this user in, within the caller's transaction: sessions with their devices and
    addresses, providers' identities, codes."""
    end(connection, sessions.c.user_id == user_id, "deleted", now)
    for table in (sessions, identities, exchange_codes):
        connection.execute(table.delete().where(table.c.user_id == user_id))
