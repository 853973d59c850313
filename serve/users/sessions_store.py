"""Sessions, as rows. Every call blocks, and is one transaction.

A row keeps how often its refresh token was exchanged (`generation`); the tokens themselves are made from the row's
secret, so an old one can be told from a forged one, and nothing grows with the number of exchanges.
"""

import msgspec
import sqlalchemy as sa

from serve.users.tables import Session, create, sessions


class SessionsStore:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    def open_session(self, session: Session) -> None:
        """Also forgets the sessions that have expired by its start."""
        with self._writing.begin() as connection:
            connection.execute(sessions.delete().where(sessions.c.expires_at <= session.created_at))
            connection.execute(sessions.insert().values(msgspec.structs.asdict(session)))

    def session(self, session_id: str) -> Session | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
        return None if row is None else Session(**row._mapping)

    def exchange(self, session_id: str, generation: int, now: int, expires_at: int) -> bool:
        """Counts an exchange; false if this generation is no longer the current one, or the session has ended."""
        current = sa.and_(sessions.c.id == session_id, sessions.c.generation == generation, sessions.c.ended.is_(None))
        values = {"generation": generation + 1, "exchanged_at": now, "expires_at": expires_at}
        with self._writing.begin() as connection:
            return connection.execute(sessions.update().where(current).values(values)).rowcount == 1

    def end_session(self, session_id: str, reason: str) -> None:
        self._end(sessions.c.id == session_id, reason)

    def end_sessions(self, user_id: str, reason: str, but: str = "") -> None:
        """All of the user's sessions, except the one named by `but`."""
        self._end(sa.and_(sessions.c.user_id == user_id, sessions.c.id != but), reason)

    def _end(self, where: sa.ColumnElement[bool], reason: str) -> None:
        change = sessions.update().where(where, sessions.c.ended.is_(None)).values(ended=reason)
        with self._writing.begin() as connection:
            connection.execute(change)
