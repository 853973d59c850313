"""The routes of the notification service."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import aclosing

from serve.gateway.lean import Event, Request, Response, Routes, events, json
from serve.gateway.problems import Problem, invalid
from serve.notifications import texts
from serve.notifications.kinds import ChannelName
from serve.notifications.languages import Language, accepted
from serve.notifications.notices import Notices, Wanted, words
from serve.notifications.schemas import (
    ChannelsBody,
    EventsQuery,
    NoticeBody,
    NoticePage,
    NoticesQuery,
    PreferenceBody,
    PreferencesBody,
    PreferencesChange,
    ReadAll,
    ReadMark,
    UnreadBody,
)
from serve.notifications.store import Notice
from serve.orders.waiters import Waiters

CHANNELS: tuple[ChannelName, ...] = ("mail", "notice", "text")
LANGUAGE = {"Accept-Language": "The language of the texts: en or de."}
_NOTICE = {
    "id": "5f0c9f6c2b7d4b0e9a1d3c5e7f902b4d",
    "kind": "order_shipped",
    "title": "Your order 0B5A4C1E7F10 is on its way",
    "text": "It is on its way with DHL. Tracking number: JD014600006281230701",
    "order_id": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
    "at": 1_772_000_000_000,
    "read": False,
}
_WANTED = {
    "kinds": [
        {
            "kind": "receipt",
            "title": "Receipts",
            "required": True,
            "channels": {"mail": True, "notice": True, "text": None},
        },
        {
            "kind": "order_shipped",
            "title": "Orders are on their way",
            "required": False,
            "channels": {"mail": False, "notice": True, "text": True},
        },
        {
            "kind": "password_reset",
            "title": "A new password was asked for",
            "required": True,
            "channels": {"mail": True, "notice": None, "text": None},
        },
    ]
}
_PREFERENCES = {
    "kinds": {"order_shipped": {"mail": False, "notice": True, "text": True}, "order_delivered": {"mail": False}}
}


def _encode(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _decode(cursor: str) -> int:
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        place = ""
    if not place.isdigit() or len(place) > 18:
        raise invalid("not a cursor of this list", "/query/cursor")
    return int(place)


def _body(notice: Notice, language: Language) -> NoticeBody:
    title, text = words(notice, language)
    kind = notice.kind
    return NoticeBody(notice.id, kind, title, text, notice.order_id, notice.created_at, notice.read_at is not None)  # type: ignore[arg-type]


def _missing(notice: str) -> Problem:
    return Problem("not_found", f"You have no notification {notice[:64]}.")


def notification_routes(notices: Notices, streams: Waiters) -> Routes:
    """`streams` bounds how many are followed at once."""
    routes = Routes(tag="notifications")
    _add_reading(routes, notices)
    _add_events(routes, notices, streams)
    _add_preferences(routes, notices)
    return routes


def _language(request: Request, notices: Notices) -> Language:
    return accepted(request.header("accept-language"), notices.language)


def _headers(language: Language) -> dict[str, str]:
    return {"Cache-Control": "no-store", "Content-Language": language, "Vary": "Accept-Language"}


def _add_reading(routes: Routes, notices: Notices) -> None:
    @routes.get(
        "/api/notifications",
        access="shopper",
        query=NoticesQuery,
        headers=LANGUAGE,
        answers={200: NoticePage},
        answer_examples={200: {"items": [_NOTICE], "unread": 1, "next": None}},
        summary="What happened to the caller's orders and account, newest first",
    )
    async def listed(request: Request) -> Response:
        query: NoticesQuery = request.query
        before = None if query.cursor is None else _decode(query.cursor)
        found, unread = await notices.page(request.principal.key, before, query.unread, query.limit + 1)
        shown, language = found[: query.limit], _language(request, notices)
        following = _encode(shown[-1].place) if len(found) > query.limit else None
        return json(NoticePage([_body(one, language) for one in shown], unread, following), headers=_headers(language))

    @routes.patch(
        "/api/notifications/{id}",
        access="shopper",
        body=ReadMark,
        headers=LANGUAGE,
        answers={200: NoticeBody},
        problems=("not_found",),
        summary="Mark a notification as read, or as unread again",
        example={"read": True},
        answer_examples={200: {**_NOTICE, "read": True}},
    )
    async def mark(request: Request) -> Response:
        notice = await notices.mark(request.principal.key, request.params["id"], request.body.read)
        if notice is None:
            raise _missing(request.params["id"])
        language = _language(request, notices)
        return json(_body(notice, language), headers=_headers(language))

    @routes.post(
        "/api/notifications/read",
        access="shopper",
        body=ReadAll,
        answers={200: UnreadBody},
        problems=("not_found",),
        summary="Mark all notifications as read, or those up to one",
        example={"up_to": _NOTICE["id"]},
        answer_examples={200: {"unread": 0}},
    )
    async def mark_all(request: Request) -> Response:
        unread = await notices.mark_all(request.principal.key, request.body.up_to)
        if unread is None:
            raise _missing(request.body.up_to)
        return json(UnreadBody(unread))


def _add_events(routes: Routes, notices: Notices, streams: Waiters) -> None:
    @routes.get(
        "/api/notifications/events",
        summary="Notifications as they come",
        description="Server-sent events: `notification` for each, with its id, and `unread` with the number of unread "
        "ones, at the beginning and after each notification.",
        access="shopper",
        query=EventsQuery,
        headers={"Last-Event-ID": "The newest notification that the reader has; goes before `after`.", **LANGUAGE},
        answers={200: str},
        answer_examples={200: 'event: unread\ndata: {"unread":1}\n\n'},
        streams=True,
        problems=("overloaded",),
    )
    async def follow(request: Request) -> Response:
        query: EventsQuery = request.query
        after = request.header("last-event-id") or query.after
        owner, language = request.principal.key, _language(request, notices)
        if streams.waiting >= streams.limit:
            raise Problem("overloaded", "Too many callers are followed here.", headers={"Retry-After": "5"})

        async def told() -> AsyncIterator[Event | None]:
            with streams.place():
                async with aclosing(notices.stream(owner, after)) as news:
                    async for missed in news:
                        if missed is None:
                            yield None
                            continue
                        for notice in missed.notices:
                            yield Event("notification", _body(notice, language), notice.id)
                        yield Event("unread", UnreadBody(missed.unread))

        return events(told(), {"Content-Language": language, "Vary": "Accept-Language"})


def _add_preferences(routes: Routes, notices: Notices) -> None:
    def body(request: Request, wanted: list[Wanted]) -> Response:
        language = _language(request, notices)
        kinds = [
            PreferenceBody(
                one.kind,
                texts.label(one.kind, language),
                one.required,
                ChannelsBody(*(one.channels.get(name) for name in CHANNELS)),
            )
            for one in wanted
        ]
        return json(PreferencesBody(kinds), headers=_headers(language))

    @routes.get(
        "/api/notifications/preferences",
        access="shopper",
        headers=LANGUAGE,
        answers={200: PreferencesBody},
        answer_examples={200: _WANTED},
        summary="What the caller wants to be told of, and how",
    )
    async def preferences(request: Request) -> Response:
        return body(request, await notices.preferences(request.principal.key))

    @routes.put(
        "/api/notifications/preferences",
        access="shopper",
        body=PreferencesChange,
        headers=LANGUAGE,
        answers={200: PreferencesBody},
        summary="Say what the caller wants to be told of, and how",
        description="All preferences at once. Kinds that are `required` are sent whatever is said here; the answer "
        "shows the preferences as they count.",
        example=_PREFERENCES,
        answer_examples={200: _WANTED},
    )
    async def prefer(request: Request) -> Response:
        return body(request, await notices.prefer(request.principal.key, request.body.kinds))
