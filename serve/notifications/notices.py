"""Notices inside the shop: kept without their words, which are written in the reader's language when they are read."""

from collections.abc import AsyncGenerator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from actors.runtime.clock import SystemClock
from actors.runtime.ports import Clock
from pipelines.send_mails import Mail
from serve.notifications import texts
from serve.notifications.feed import Feed
from serve.notifications.kinds import OPT_IN, RULES, ChannelName, Kind, Message
from serve.notifications.languages import Language
from serve.notifications.store import NewNotice, Notice, NotificationStore
from serve.notifications.suppressed import Suppressions

CATCH_UP = 100
"""The most notices that a stream tells at once of what its reader missed: the newest."""
HEARTBEAT_SECONDS = 15.0
LONGEST_SECONDS = 900.0
"""After this a stream ends and the browser comes back with Last-Event-ID, perhaps to another replica."""


class NoticeChannel:
    """Implements `Channel`: once for each event and kind, by the notice's id."""

    def __init__(self, store: NotificationStore, *, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()

    async def deliver(self, message: Message) -> None:
        notice = NewNotice(
            notice_id(message),
            message.owner,
            message.template,
            message.order_id,
            message.order.currency if isinstance(message, Mail) else "",
            msgspec.json.encode(message.facts).decode(),
            self._clock.wall(),
        )
        await self._store.add_notice(notice, optional=not RULES[message.template].required)

    async def give_up(self, message: Message) -> None:
        """A notice is delivered or not: there is nothing to free."""


def notice_id(message: Message) -> str:
    return notice_id_of(message.event_id, message.template)


def notice_id_of(event_id: str, template: str) -> str:
    """The same for the same event and template, for ever."""
    return blake2b(f"{event_id}\0{template}".encode(), digest_size=16).hexdigest()


class Wanted(NamedTuple):
    """Whether a kind goes over each channel that it has. `required`: whatever the person prefers."""

    kind: Kind
    required: bool
    channels: dict[ChannelName, bool]


class Missed(NamedTuple):
    """News for a stream: the notices in order, and how many of all are unread."""

    notices: list[Notice]
    unread: int


class Notices:
    """What people read and set. Owners are user:<id> or guest:<id>; times are UTC in milliseconds."""

    def __init__(
        self,
        store: NotificationStore,
        *,
        language: Language = "en",
        texts: bool = False,
        clock: Clock | None = None,
        feed: Feed | None = None,
    ) -> None:
        """`texts`: whether this shop sends text messages."""
        self.language = language
        self._hidden: frozenset[ChannelName] = frozenset() if texts else frozenset({"text"})
        self._store = store
        self._clock = clock or SystemClock()
        self._feed = feed or Feed(store)

    @property
    def suppressions(self) -> Suppressions:
        return self._store.suppressed

    async def close(self) -> None:
        await self._feed.close()
        await self._store.close()

    async def page(self, owner: str, before: int | None, unread: bool, limit: int) -> tuple[list[Notice], int]:
        """Newest first, those before a place; and how many of all are unread."""
        return await self._store.notices(owner, before=before, unread=unread, limit=limit)

    async def unread(self, owner: str) -> int:
        return (await self._store.notices(owner, limit=1))[1]

    async def mark(self, owner: str, notice: str, read: bool) -> Notice | None:
        """None: the owner has no such notice."""
        return await self._store.mark(owner, notice, self._clock.wall() if read else None)

    async def mark_all(self, owner: str, up_to: str | None) -> int | None:
        """All up to this one; answers how many are unread now. None: the owner has no such notice."""
        place = None
        if up_to is not None and (place := await self._store.place(owner, up_to)) is None:
            return None
        return await self._store.mark_all(owner, self._clock.wall(), place)

    async def preferences(self, owner: str) -> list[Wanted]:
        off, on = await self._store.turned_off(owner), await self._store.turned_on(owner)

        def goes(kind: Kind, name: ChannelName) -> bool:
            if name in OPT_IN:
                return (kind, name) in on
            return RULES[kind].required or (kind, name) not in off

        return [
            Wanted(kind, rule.required, {name: goes(kind, name) for name in rule.channels if name not in self._hidden})
            for kind, rule in RULES.items()
        ]

    async def prefer(self, owner: str, wanted: Mapping[Kind, Mapping[ChannelName, bool]]) -> list[Wanted]:
        """All preferences from now on: what is not named is wanted, but for texts. Answers them as they count."""
        said = [
            (kind, name, on)
            for kind, channels in wanted.items()
            for name, on in channels.items()
            if name in RULES[kind].channels
        ]
        off = {(kind, name) for kind, name, on in said if not (on or name in OPT_IN or RULES[kind].required)}
        asked_for = {(kind, name) for kind, name, on in said if on and name in OPT_IN}
        await self._store.turn_off(owner, off, asked_for)
        return await self.preferences(owner)

    async def stream(
        self,
        owner: str,
        after: str | None,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        longest: float = LONGEST_SECONDS,
    ) -> AsyncGenerator[Missed | None, None]:
        """News as they come, at first what came after the notice `after`; None at least every `heartbeat` seconds.

        `after` None: what comes from now on. One that is not kept, or is none: the newest of all.
        """
        ends_at = self._clock.monotonic() + longest
        async with self._feed.listening(owner) as ear:
            place = await self._store.last_place() if after is None else await self._store.place(owner, after) or 0
            first = True
            while True:
                notices, unread = await self._store.notices_after(owner, place, CATCH_UP)
                if notices or first:
                    yield Missed(notices, unread)
                first = False
                place = notices[-1].place if notices else place
                if self._clock.monotonic() >= ends_at:
                    return
                yield None
                await ear.news(heartbeat)


def words(notice: Notice, language: Language) -> texts.Words:
    """A notice in a language."""
    facts: dict[str, Any] = msgspec.json.decode(notice.facts)
    kind = msgspec.convert(notice.kind, Kind)
    return texts.notice(kind, notice.order_id, facts, notice.currency, language)
