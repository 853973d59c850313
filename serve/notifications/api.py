"""The routes of the notification service."""

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import Meta

from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import invalid
from serve.notifications.service import Notifications


class NotificationsQuery(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=300, description="`next` of the page before")] | None = None


class NotificationBody(msgspec.Struct, frozen=True):
    """`status`: sending, sent, rejected, no_contact. `at`: UTC milliseconds."""

    id: str
    template: str
    order_id: str
    status: str
    at: int


class NotificationPage(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    items: list[NotificationBody]
    next: str | None


def _encode(at: int, message_id: str) -> str:
    return base64.urlsafe_b64encode(f"{at}:{message_id}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[int, str]:
    try:
        at, _, message_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        return int(at), message_id
    except (binascii.Error, ValueError):
        raise invalid("not a cursor of this list", "/query/cursor") from None


def notification_routes(notifications: Notifications) -> Routes:
    routes = Routes(tag="notifications")

    @routes.get(
        "/api/notifications",
        access="shopper",
        query=NotificationsQuery,
        answers={200: NotificationPage},
        summary="What was mailed about the caller's orders",
    )
    async def listed(request: Request) -> Response:
        query: NotificationsQuery = request.query
        before = None if query.cursor is None else _decode(query.cursor)
        found = await notifications.page(request.principal.key, before, query.limit + 1)
        shown = found[: query.limit]
        following = _encode(shown[-1].at, shown[-1].id) if len(found) > query.limit else None
        return json(NotificationPage([NotificationBody(*one) for one in shown], following))

    return routes
