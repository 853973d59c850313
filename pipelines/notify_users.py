"""People are told about their accounts: links that they asked for, and what they should know if it was not them."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from pipelines.events import users
from pipelines.flow import Flow, Limits
from pipelines.log.base import Happened
from pipelines.send_mails import Fact, Facts, Mails, send_all

NAME = "notify_users"

UserTemplate: TypeAlias = Literal[
    "address_confirmation",
    "password_reset",
    "new_sign_in",
    "email_changed",
    "password_changed",
    "sign_in_added",
    "sign_in_removed",
]
Event: TypeAlias = (
    users.EmailConfirmationRequested
    | users.PasswordResetRequested
    | users.UserLoggedIn
    | users.EmailChanged
    | users.PasswordChanged
    | users.IdentityLinked
    | users.IdentityUnlinked
)


class UserMail(msgspec.Struct, frozen=True):
    """One message to a user, without name, address or link. `request`: by which the users tell them; may be empty."""

    event_id: str
    template: UserTemplate
    user_id: str
    request: str = ""
    facts: Mapping[str, Fact] = {}

    @property
    def owner(self) -> str:
        return f"user:{self.user_id}"

    @property
    def order_id(self) -> str:
        """Of no order."""
        return ""


class MailLink(msgspec.Struct, frozen=True):
    """What a mail about a request needs. `url` may be empty; `expires_at`: UTC in milliseconds."""

    to: str
    name: str
    language: str
    url: str
    expires_at: int


class Person(msgspec.Struct, frozen=True):
    """Whom a user's mails go to. `language`: a language tag, or empty. `phone`: as they wrote it, or empty."""

    address: str
    name: str
    language: str
    phone: str = ""


class People(Protocol):
    """What the users' service tells whoever writes to people, at the moment of writing; nothing of it is kept."""

    async def link(self, request: str) -> MailLink | None:
        """None once the request was used, has expired, or its person was erased: there is nothing to write then."""
        ...

    async def person(self, user_id: str) -> Person | None:
        """None if there is no such user, or no longer."""
        ...

    async def told(self, request: str) -> None:
        """What was kept only to be told, an old address, can be forgotten. A repetition changes nothing."""
        ...


def due(event: Event) -> tuple[UserTemplate, str, Facts] | None:
    """Which mail an event makes, the request that it is about, and its facts. None: nobody needs to know."""
    match event:
        case users.EmailConfirmationRequested():
            return "address_confirmation", event.request, {"at": event.at}
        case users.PasswordResetRequested():
            return "password_reset", event.request, {"at": event.at}
        case users.EmailChanged():
            return "email_changed", event.request, {"at": event.at}
        case users.PasswordChanged():
            return "password_changed", "", {"at": event.at}
        case users.IdentityLinked():
            return "sign_in_added", "", {"at": event.at, "provider": event.provider}
        case users.IdentityUnlinked():
            return "sign_in_removed", "", {"at": event.at, "provider": event.provider}
        case users.UserLoggedIn():
            return None if event.known_device else ("new_sign_in", "", {"at": event.at})


def notify_users(mails: Mails[UserMail], people: People) -> Flow:
    """User events -> mails and notices. One that cannot be sent holds up no other."""

    async def handle(happened: Happened, event: Event) -> None:
        if (found := due(event)) is not None:
            template, request, facts = found
            await send_all(mails, [UserMail(happened.id, template, happened.entity, request, facts)])
        if isinstance(event, users.EmailChanged):
            await people.told(event.request)

    return Flow(NAME, {users.KIND: Event.__args__}, handle, ordered=False, limits=Limits(in_flight=16, tries=12))
