"""Accounts, as rows. Every call blocks, and is one transaction."""

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from serve.users.tables import EmailTaken, User, as_user, create, users


class AccountsStore:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    def add(self, user: User) -> None:
        """Raises EmailTaken."""
        row = {**msgspec.structs.asdict(user), "roles": " ".join(user.roles)}
        try:
            with self._writing.begin() as connection:
                connection.execute(users.insert().values(row))
        except sa.exc.IntegrityError as error:
            raise EmailTaken from error

    def by_email(self, email: str) -> User | None:
        return self._user(users.c.email == email)

    def by_id(self, user_id: str) -> User | None:
        return self._user(users.c.id == user_id)

    def change(self, user_id: str, *, name: str | None = None, password: str | None = None) -> User | None:
        """None: there is no such user."""
        values = {k: v for k, v in {"name": name, "password": password}.items() if v is not None}
        return self._change(user_id, values)

    def grant(self, user_id: str, roles: Iterable[str]) -> User | None:
        """Sets the roles."""
        return self._change(user_id, {"roles": " ".join(sorted(set(roles)))})

    def _change(self, user_id: str, values: dict[str, Any]) -> User | None:
        change = users.update().where(users.c.id == user_id).values(**values, version=users.c.version + 1)
        with self._writing.begin() as connection:
            connection.execute(change)
            row = connection.execute(sa.select(users).where(users.c.id == user_id)).first()
        return None if row is None else as_user(row)

    def _user(self, where: sa.ColumnElement[bool]) -> User | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(users).where(where)).first()
        return None if row is None else as_user(row)
