"""Accounts, as rows. Every call blocks, and is one transaction: what happened, and the events that tell of it."""

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from pipelines.events.users import (
    KIND,
    EmailChanged,
    EmailConfirmationRequested,
    EmailConfirmed,
    Event,
    PasswordChanged,
    PasswordResetRequested,
    UserDeleted,
    UserProfileChanged,
    UserRegistered,
)
from pipelines.log.outbox import put
from pipelines.sql.retrying import transaction
from pipelines.sql.words import next_place
from serve.databases import scrub
from serve.users import links, sessions_store
from serve.users.account_tables import activity, addresses
from serve.users.account_tables import links as link_rows
from serve.users.links import LinkRow, new_link
from serve.users.tables import EmailTaken, User, as_user, create, exchange_codes, identities, outbox, sessions, users
from serve.users.telling import tell

TOLD_WITHIN = 7 * 86_400_000
"""Milliseconds that the old address of an account is kept to be told that it is the old one."""


class LinkUsed(Exception):
    """Somebody else used the link first, or it has just expired."""


class MailedLately(Exception):
    """`wait`: milliseconds until the account may have the next mail of this kind."""

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


class AccountsStore:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        create(self._writing)

    # Looking

    def by_email(self, email: str) -> User | None:
        return self._user(users.c.email == email)

    def confirmed(self, emails: Iterable[str]) -> dict[str, str]:
        """The ids of the accounts of which these are the confirmed addresses."""
        mine = sa.and_(users.c.email.in_(set(emails)), users.c.confirmed_at.is_not(None), users.c.deleted_at.is_(None))
        with self._engine.connect() as connection:
            return {row.email: row.id for row in connection.execute(sa.select(users.c.email, users.c.id).where(mine))}

    def by_id(self, user_id: str) -> User | None:
        """None also once it is deleted."""
        return self._user(users.c.id == user_id)

    def _user(self, where: sa.ColumnElement[bool]) -> User | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(users).where(where, users.c.deleted_at.is_(None))).first()
        return None if row is None else as_user(row)

    # Making

    @transaction(again=True)
    def add(self, user: User, *, by: str = "email", link: LinkRow | None = None) -> None:
        """`by`: as in UserRegistered; `link` is to be mailed. Raises EmailTaken."""
        row = {**msgspec.structs.asdict(user), "roles": " ".join(user.roles)}
        now = user.created_at
        events: list[Event] = [UserRegistered(by, user.confirmed_at is not None, now)]
        if link is not None:
            events.append(EmailConfirmationRequested(link.id, now))
        with self._writing.begin() as connection:
            try:
                connection.execute(users.insert().values(row))
            except sa.exc.IntegrityError as error:
                if connection.scalar(sa.select(users.c.id).where(users.c.id == user.id)):
                    return  # it was committed before, and nobody heard of it
                raise EmailTaken from error
            if link is not None:
                links.keep(connection, link)
            put(connection, outbox, KIND, user.id, user.version, tuple(events), now)

    # Changing

    @transaction(again=True)
    def change(self, user_id: str, values: dict[str, Any], now: int) -> User | None:
        """Changes the fields of the profile; what is the same already is no news. None: there is no such account."""
        with self._writing.begin() as connection:
            user = _read(connection, user_id)
            changed = {name: value for name, value in values.items() if user and getattr(user, name) != value}
            if not changed or user is None:
                return user
            connection.execute(users.update().where(users.c.id == user_id).values(changed))
            tell(connection, user_id, UserProfileChanged(tuple(sorted(changed)), now), at=now)
            return _read(connection, user_id)

    @transaction(again=False)
    def change_password(self, user_id: str, verified: str, hashed: str, session: str, now: int) -> bool:
        """Ends all other sessions than `session`. False: the password is no longer the one that was verified."""
        same = sa.and_(users.c.id == user_id, users.c.password == verified, users.c.deleted_at.is_(None))
        with self._writing.begin() as connection:
            if connection.execute(users.update().where(same).values(password=hashed)).rowcount == 0:
                return False
            self._password_changed(connection, user_id, session, now)
            tell(connection, user_id, PasswordChanged(False, now), at=now)
        return True

    def grant(self, user_id: str, roles: Iterable[str], now: int) -> User | None:
        """Sets the roles."""
        return self.change(user_id, {"roles": " ".join(sorted(set(roles)))}, now)

    def _password_changed(self, connection: sa.Connection, user_id: str, session: str, now: int) -> None:
        # Whoever knew the old password may have asked for these.
        links.drop(connection, user_id, now, "change_email", "reset_password")
        connection.execute(exchange_codes.delete().where(exchange_codes.c.user_id == user_id))
        others = sa.and_(sessions.c.user_id == user_id, sessions.c.id != session)
        sessions_store.end(connection, others, "password", now)

    # Links

    @transaction(again=True)
    def request(self, user_id: str | None, link: LinkRow) -> bool:
        """Has a link mailed; false: one was a moment ago, or there is no such account. Both are as much work.

        Raises MailedLately: one was to another new address of the account.
        """
        now = link.created_at
        event: Event = EmailConfirmationRequested(link.id, now)
        if link.purpose == "reset_password":
            event = PasswordResetRequested(link.id, now)
        with self._writing.begin() as connection:
            user = _read(connection, user_id or "")
            lately = links.mailed_lately(connection, user_id or "", link)
            if lately is not None and lately.email != link.email:
                raise MailedLately(lately.created_at + links.MAIL_EVERY - now)
            if user is None or lately is not None:
                _write_as_much(connection, now)
                return False
            if link.purpose == "change_email":
                links.drop(connection, user.id, now, "change_email")
            links.keep(connection, link)
            tell(connection, user.id, event, at=now)
        return True

    @transaction(again=False)
    def confirm(self, link: LinkRow, command_id: str | None, now: int) -> None:
        """The address of the link is its account's, and its owner's. Raises LinkUsed, EmailTaken."""
        assert link.user_id is not None
        with self._writing.begin() as connection:
            user = _read(connection, link.user_id)
            if user is None or not links.use(connection, link, command_id, now):
                raise LinkUsed
            events: list[Event] = [EmailConfirmed(now)]
            values: dict[str, Any] = {"confirmed_at": now}
            if link.purpose == "change_email" and link.email != user.email:
                values["email"] = link.email
                old = new_link(user.id, "email_changed", user.email, now, TOLD_WITHIN)
                links.keep(connection, old)
                links.drop(connection, user.id, now, "reset_password")
                events.append(EmailChanged(old.id, now))
            elif link.email != user.email:
                raise LinkUsed  # the account has another address by now
            try:
                connection.execute(users.update().where(users.c.id == user.id).values(values))
            except sa.exc.IntegrityError as error:
                raise EmailTaken from error
            tell(connection, user.id, *events, at=now)

    @transaction(again=False)
    def reset(self, link: LinkRow, hashed: str, command_id: str | None, now: int) -> None:
        """Sets a new password and ends all sessions. Raises LinkUsed."""
        assert link.user_id is not None
        with self._writing.begin() as connection:
            user = _read(connection, link.user_id)
            if user is None or user.email != link.email or not links.use(connection, link, command_id, now):
                raise LinkUsed
            values: dict[str, Any] = {"password": hashed}
            events: list[Event] = [PasswordChanged(True, now)]
            if user.confirmed_at is None:
                # Who reads the mailbox is its owner. Whoever made the account need not have been: nothing of theirs is
                # left, no way in, and nowhere that the owner's orders could be sent.
                values |= {"confirmed_at": now, "logged_in_at": None, "name": "", "phone": None}
                gone = _clear(connection, user, now)
                events = [*([UserProfileChanged(gone, now)] if gone else []), *events, EmailConfirmed(now)]
            connection.execute(users.update().where(users.c.id == user.id).values(values))
            self._password_changed(connection, user.id, "", now)
            tell(connection, user.id, *events, at=now)

    # Deleting

    @transaction(again=False)
    def erase(self, user_id: str, now: int) -> bool:
        """Deletes all that is known of a person; the account's id stays, so that nothing is done in its name again."""
        nothing = {
            "email": f"deleted:{user_id}",
            "name": "",
            "password": "",
            "roles": "",
            "phone": None,
            "registered_by": None,
            "confirmed_at": None,
            "logged_in_at": None,
        }
        with self._writing.begin() as connection:
            if _read(connection, user_id) is None:
                return False
            sessions_store.forget(connection, user_id, now)
            for table in (link_rows, addresses, activity):
                connection.execute(table.delete().where(table.c.user_id == user_id))
            connection.execute(users.update().where(users.c.id == user_id).values(nothing))
            tell(connection, user_id, UserDeleted(now), at=now)
            connection.execute(users.update().where(users.c.id == user_id).values(deleted_at=now))
        return True

    def scrub(self) -> None:
        """What was erased stands nowhere in the files either. Raises ConnectionError: too busy; try again."""
        scrub(self._engine)


def _read(connection: sa.Connection, user_id: str) -> User | None:
    """Locked, so that what is decided on it holds until it is written."""
    there = sa.select(users).where(users.c.id == user_id, users.c.deleted_at.is_(None))
    row = connection.execute(there.with_for_update()).first()
    return None if row is None else as_user(row)


def _clear(connection: sa.Connection, user: User, now: int) -> tuple[str, ...]:
    """Deletes what belongs to an account beside its row, and ends its sessions; answers the fields that were there."""
    mine = {"addresses": addresses, "identities": identities}
    gone = {name for name, table in mine.items() if _has_any(connection, table, user.id)}
    connection.execute(addresses.delete().where(addresses.c.user_id == user.id))
    sessions_store.forget(connection, user.id, now)
    gone |= {name for name in ("name", "phone") if getattr(user, name)}
    return tuple(sorted(gone))


def _has_any(connection: sa.Connection, table: sa.Table, user_id: str) -> bool:
    return connection.execute(sa.select(table.c.user_id).where(table.c.user_id == user_id).limit(1)).first() is not None


def _write_as_much(connection: sa.Connection, now: int) -> None:
    """What `request` writes, and nothing comes of it: a link of nobody's, a version, and one more row for the event."""
    links.keep(connection, new_link(None, "nobody", "", now, 0))
    connection.execute(users.update().where(users.c.id == "").values(version=users.c.version + 1))
    connection.execute(sa.select(users.c.version).where(users.c.id == ""))
    next_place(connection)
    links.keep(connection, new_link(None, "nobody", "", now, 0))
