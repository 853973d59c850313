"""Whose identity at a provider is whose account, as rows. Every call blocks, and is one transaction."""

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pipelines.events.users import (
    KIND,
    EmailConfirmationRequested,
    Event,
    IdentityLinked,
    IdentityUnlinked,
    UserProfileChanged,
    UserRegistered,
)
from pipelines.log.outbox import put
from pipelines.sql.retrying import transaction
from serve.users import links
from serve.users.links import LinkRow
from serve.users.tables import EmailTaken, User, as_user, create, exchange_codes, identities, outbox, users
from serve.users.telling import lock, tell


class IdentityTaken(Exception):
    """The identity is another account's, or the account has another identity at this provider."""


class LastWayIn(Exception):
    """Without it nobody could log in to the account any more."""


class Code(NamedTuple):
    """What a one-time code is exchanged for."""

    user_id: str
    provider: str
    kept: bool


class IdentitiesStore:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    def user_of(self, provider: str, subject: str) -> User | None:
        query = sa.select(users).join(identities, identities.c.user_id == users.c.id).where(_is(provider, subject))
        with self._engine.connect() as connection:
            row = connection.execute(query.where(users.c.deleted_at.is_(None))).first()
        return None if row is None else as_user(row)

    def of_user(self, user_id: str) -> list[tuple[str, int]]:
        """The providers, and when they were linked; the first one first."""
        query = sa.select(identities.c.provider, identities.c.linked_at).where(identities.c.user_id == user_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(identities.c.linked_at, identities.c.provider))
            return [(row.provider, row.linked_at) for row in rows]

    @transaction(again=False)
    def register(self, user: User, provider: str, subject: str, link: LinkRow | None) -> None:
        """Makes an account that is logged in to by this identity; `link` is to be mailed. Raises EmailTaken; or
        IdentityTaken: it was made in the meantime."""
        now = user.created_at
        row = {**msgspec.structs.asdict(user), "roles": ""}
        happened: list[Event] = [UserRegistered(provider, user.confirmed_at is not None, now)]
        with self._writing.begin() as connection:
            if _owner(connection, provider, subject) is not None:
                raise IdentityTaken
            try:
                connection.execute(users.insert().values(row))
            except sa.exc.IntegrityError as error:
                raise EmailTaken from error
            _insert(connection, provider, subject, user.id, now)
            if link is not None:
                links.keep(connection, link)
                happened.append(EmailConfirmationRequested(link.id, now))
            put(connection, outbox, KIND, user.id, user.version, tuple(happened), now)

    @transaction(again=True)
    def link(self, user_id: str, provider: str, subject: str, now: int) -> None:
        """Raises IdentityTaken, or LookupError: the account is gone. Linking what is linked is no news."""
        with self._writing.begin() as connection:
            lock(connection, user_id)
            owner = _owner(connection, provider, subject)
            if owner == user_id:
                return
            here = sa.and_(identities.c.user_id == user_id, identities.c.provider == provider)
            if owner is not None or connection.execute(sa.select(identities.c.subject).where(here)).first():
                raise IdentityTaken
            changed = (UserProfileChanged(("identities",), now), IdentityLinked(provider, now))
            tell(connection, user_id, *changed, at=now)
            _insert(connection, provider, subject, user_id, now)

    @transaction(again=False)
    def unlink(self, user_id: str, provider: str, now: int) -> bool:
        """False: it was not linked. Raises LastWayIn."""
        mine = identities.c.user_id == user_id
        with self._writing.begin() as connection:
            lock(connection, user_id)
            linked = set(connection.scalars(sa.select(identities.c.provider).where(mine)))
            if provider not in linked:
                return False
            password = connection.scalar(sa.select(users.c.password).where(users.c.id == user_id))
            if len(linked) == 1 and not password:
                raise LastWayIn
            connection.execute(identities.delete().where(mine, identities.c.provider == provider))
            changed = (UserProfileChanged(("identities",), now), IdentityUnlinked(provider, now))
            tell(connection, user_id, *changed, at=now)
        return True

    @transaction(again=False)
    def keep_code(self, code: str, browser: str, stands_for: Code, now: int, expires_at: int) -> None:
        """`code`, `browser`: hashes. Also forgets the expired ones."""
        values: dict[str, Any] = {"code": code, "browser": browser, **stands_for._asdict(), "expires_at": expires_at}
        with self._writing.begin() as connection:
            connection.execute(exchange_codes.delete().where(exchange_codes.c.expires_at <= now))
            connection.execute(exchange_codes.insert().values(values))

    @transaction(again=False)
    def use_code(self, code: str, browser: str, now: int) -> Code | None:
        """Once, and by the browser that it was made for."""
        this = exchange_codes.c.code == code
        with self._writing.begin() as connection:
            row = connection.execute(sa.select(exchange_codes).where(this).with_for_update()).first()
            connection.execute(exchange_codes.delete().where(this))
        if row is None or row.browser != browser or row.expires_at <= now:
            return None
        return Code(row.user_id, row.provider, row.kept)


def _is(provider: str, subject: str) -> sa.ColumnElement[bool]:
    return sa.and_(identities.c.provider == provider, identities.c.subject == subject)


def _owner(connection: sa.Connection, provider: str, subject: str) -> str | None:
    return connection.scalar(sa.select(identities.c.user_id).where(_is(provider, subject)))


def _insert(connection: sa.Connection, provider: str, subject: str, user_id: str, now: int) -> None:
    values = {"provider": provider, "subject": subject, "user_id": user_id, "linked_at": now}
    try:
        connection.execute(identities.insert().values(values))
    except sa.exc.IntegrityError as error:  # it was linked in the meantime
        raise IdentityTaken from error
