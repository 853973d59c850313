"""Links that are mailed: each is a row with a secret, from which its token is made when the mail is.

Nobody else can make the token, and it stands nowhere: an event names the row by its id, which opens nothing.
"""

import hmac
import secrets
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from pipelines.sql.retrying import transaction
from serve.users.account_tables import links
from serve.users.tables import users

Purpose = Literal["confirm_email", "change_email", "reset_password", "email_changed", "nobody"]

MAIL_EVERY = 60_000
"""Milliseconds in which no address is mailed the same kind of link twice, however often it is asked for."""
_KEPT_USED = 86_400_000
_FORGOTTEN_AT_ONCE = 100


class LinkRow(msgspec.Struct, frozen=True):
    """`email`: where it is mailed to. `used_by`: the id of the command that used it, if it had one."""

    id: str
    user_id: str | None
    purpose: Purpose
    email: str
    secret: bytes
    created_at: int
    expires_at: int
    used_at: int | None = None
    used_by: str | None = None

    @property
    def token(self) -> str:
        """What the link has in it."""
        mac = hmac.new(self.secret, f"{self.purpose}.{self.id}".encode(), sha256).hexdigest()
        return f"{self.id}.{mac}"


class Link(NamedTuple):
    """For whoever mails it, at that moment. `token` is empty where there is only something to tell.

    `purpose` confirm_email, change_email (the new address), reset_password, or email_changed (told to the old one).
    """

    purpose: Purpose
    token: str
    email: str
    name: str
    language: str
    expires_at: int


def new_link(user_id: str | None, purpose: Purpose, email: str, now: int, milliseconds: int) -> LinkRow:
    return LinkRow(secrets.token_hex(16), user_id, purpose, email, secrets.token_bytes(32), now, now + milliseconds)


def keep(connection: sa.Connection, link: LinkRow) -> None:
    """Also forgets those that expired long ago, and those of nobody."""
    now = link.created_at
    old = sa.or_(links.c.expires_at < now - _KEPT_USED, sa.and_(links.c.user_id.is_(None), links.c.expires_at < now))
    # Looked for first: a condition that no index has would wait for whoever has any link in hand.
    found = list(connection.scalars(sa.select(links.c.id).where(old).order_by(links.c.id).limit(_FORGOTTEN_AT_ONCE)))
    connection.execute(links.delete().where(links.c.id.in_(found)))
    connection.execute(links.insert().values(msgspec.structs.asdict(link)))


def mailed_lately(connection: sa.Connection, user_id: str, link: LinkRow) -> LinkRow | None:
    """The one like it that went out a moment ago, if there was one: to whichever address, of an account's that is to
    change; else to the same."""
    like_it = sa.and_(links.c.user_id == user_id, links.c.purpose == link.purpose)
    if link.purpose != "change_email":
        like_it = sa.and_(like_it, links.c.email == link.email)
    lately = sa.select(links).where(like_it, links.c.created_at > link.created_at - MAIL_EVERY)
    row = connection.execute(lately.order_by(links.c.created_at.desc()).limit(1)).first()
    return None if row is None else LinkRow(**row._mapping)


def drop(connection: sa.Connection, user_id: str, now: int, *purposes: Purpose) -> None:
    """They open nothing any more. The rows stay: that they were mailed still counts."""
    pending = sa.and_(links.c.user_id == user_id, links.c.purpose.in_(purposes), links.c.used_at.is_(None))
    connection.execute(links.update().where(pending, links.c.expires_at > now).values(expires_at=now))


def use(connection: sa.Connection, link: LinkRow, command_id: str | None, now: int) -> bool:
    """Once; false: somebody else was first."""
    unused = sa.and_(links.c.id == link.id, links.c.used_at.is_(None), links.c.expires_at > now)
    return connection.execute(links.update().where(unused).values(used_at=now, used_by=command_id)).rowcount == 1


class LinksStore:
    """Every call blocks, and is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(writes=True)

    def of_token(self, token: str) -> LinkRow | None:
        """Also one that is used or expired. None: no such link was ever mailed."""
        link_id, _, _ = token.partition(".")
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(links).where(links.c.id == link_id)).first()
        if row is None or row.user_id is None:
            return None
        link = LinkRow(**row._mapping)
        return link if hmac.compare_digest(token.encode(), link.token.encode()) else None

    def to_mail(self, request_id: str, now: int) -> Link | None:
        """What is to be mailed for a request; None once it is used or expired, or its account is gone."""
        both = sa.select(links, users.c.name, users.c.language).join(users, users.c.id == links.c.user_id)
        still = sa.and_(links.c.id == request_id, links.c.used_at.is_(None), links.c.expires_at > now)
        with self._engine.connect() as connection:
            row = connection.execute(both.where(still, users.c.deleted_at.is_(None))).first()
        if row is None:
            return None
        values: dict[str, Any] = {name: getattr(row, name) for name in LinkRow.__struct_fields__}
        link = LinkRow(**values)
        token = "" if link.purpose == "email_changed" else link.token
        return Link(link.purpose, token, link.email, row.name, row.language, link.expires_at)

    @transaction(again=True)
    def told(self, request_id: str) -> None:
        """Forgets an address that was only kept to be told something."""
        only = sa.and_(links.c.id == request_id, links.c.purpose == "email_changed")
        with self._writing.begin() as connection:
            connection.execute(links.delete().where(only))
