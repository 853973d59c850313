"""What happens to an account is shown to its owner."""

from typing import NamedTuple, Protocol, TypeAlias

from pipelines.events import users
from pipelines.flow import Flow
from pipelines.log.base import Happened

NAME = "show_activity"
ORDER_CONFIRMED = "order_confirmed"

Event: TypeAlias = (
    users.UserRegistered
    | users.EmailConfirmed
    | users.EmailChanged
    | users.UserLoggedIn
    | users.UserProfileChanged
    | users.PasswordChanged
)
WHAT: dict[type, str] = {
    users.UserRegistered: "registered",
    users.EmailConfirmed: "email_confirmed",
    users.EmailChanged: "email_changed",
    users.UserLoggedIn: "logged_in",
    users.UserProfileChanged: "profile_changed",
    users.PasswordChanged: "password_changed",
}


class Note(NamedTuple):
    """`about`: ids and the names of fields, never what they say."""

    id: str
    user_id: str
    at: int
    what: str
    about: dict[str, str | bool | tuple[str, ...]]


class KeepsActivity(Protocol):
    async def note(self, note: Note) -> None:
        """Once by the note's id; nothing of an account that is gone."""
        ...


def noted(happened: Happened, event: Event) -> Note:
    about: dict[str, str | bool | tuple[str, ...]] = {}
    match event:
        case users.UserRegistered(by=by):
            about = {"by": by}
        case users.UserLoggedIn():
            about = {"by": event.by, "session": event.session, "known_device": event.known_device}
        case users.UserProfileChanged(fields=fields):
            about = {"fields": fields}
        case users.PasswordChanged(by_reset=by_reset):
            about = {"by_reset": by_reset}
    return Note(happened.id, happened.entity, event.at, WHAT[type(event)], about)


def show_activity(activity: KeepsActivity) -> Flow:
    """User events -> the activity page."""

    async def handle(happened: Happened, event: Event) -> None:
        await activity.note(noted(happened, event))

    return Flow(NAME, {users.KIND: Event.__args__}, handle, ordered=False)
