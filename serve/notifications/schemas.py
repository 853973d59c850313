"""What the routes of the notification service take and give."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from serve.notifications.kinds import Kind

NoticeId: TypeAlias = Annotated[str, Meta(max_length=64)]


class NoticesQuery(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=300, description="`next` of the page before")] | None = None
    unread: Annotated[bool, Meta(description="only those that are not read")] = False


class EventsQuery(msgspec.Struct, frozen=True):
    after: (
        Annotated[
            str,
            Meta(max_length=64, description="the newest notice that the reader has, empty if none; unset: from now on"),
        ]
        | None
    ) = None


class NoticeBody(msgspec.Struct, frozen=True):
    """`order_id`: empty if it is about no order. `at`: UTC milliseconds. The texts are plain, not HTML."""

    id: str
    kind: Kind
    title: str
    text: str
    order_id: str
    at: int
    read: bool


class NoticePage(msgspec.Struct, frozen=True):
    """Newest first. `unread`: of all pages. `next` is the cursor of the next page, null on the last one."""

    items: list[NoticeBody]
    unread: int
    next: str | None


class ReadMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read: bool


class ReadAll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`up_to`: the newest notice that was shown, so that none is marked that came meanwhile. Null: all."""

    up_to: NoticeId | None = None


class UnreadBody(msgspec.Struct, frozen=True):
    unread: int


class ChannelsBody(msgspec.Struct, frozen=True):
    """Null: this kind does not go over this channel, or this shop has none such.

    `text`: text messages, to the number of your profile, or of the order that you made without an account.
    """

    mail: bool | None
    notice: bool | None
    text: bool | None = None


class PreferenceBody(msgspec.Struct, frozen=True):
    """`required`: it is sent whatever you prefer."""

    kind: Kind
    title: str
    required: bool
    channels: ChannelsBody


class PreferencesBody(msgspec.Struct, frozen=True):
    kinds: list[PreferenceBody]


class PreferencesChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All preferences from now on; what is not named is on, but for `text`, which is off unless it is asked for.

    Kinds that are `required` stay on, whatever is said.
    """

    kinds: dict[Kind, dict[Literal["mail", "notice", "text"], bool]]
