"""What SES tells us, and what staff may see and lift of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from serve.gateway.lean import Request, Response, Routes, empty, json
from serve.gateway.problems import Problem, declare
from serve.notifications.ses_news import BAD_SIGNATURE, SesNews
from serve.notifications.sns import SnsMessage
from serve.notifications.suppressed import Reason, Suppressed, Suppressions, digest

declare("bad_cursor", 400, "The cursor is not of this list")

_TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
_SNS = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": _TOPIC,
    "Message": '{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":'
    '[{"emailAddress":"gone@example.com"}]},"mail":{"tags":{}}}',
    "Timestamp": "2026-03-03T12:00:00.000Z",
    "SignatureVersion": "2",
    "Signature": "c2lnbmVk",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
}
_SUPPRESSED = {
    "id": "5f0c9f6c2b7d4b0e9a1d3c5e7f902b4d",
    "reason": "bounce",
    "at": 1_772_000_000_000,
    "owner": "user:0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
    "order_id": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
}


class SuppressedQuery(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(max_length=60, description="`next` of the page before")] | None = None


class SuppressedBody(msgspec.Struct, frozen=True):
    """An address that is not written to. `id` stands for it; `owner` and `order_id`, of the mail that led to it, may be
    empty. `at`: UTC milliseconds.
    """

    id: str
    reason: Reason
    at: int
    owner: str
    order_id: str


class SuppressedPage(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    items: list[SuppressedBody]
    next: str | None


class Lift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: Annotated[str, Meta(max_length=320, description="the address itself, or its id of the list")]


class Lifted(msgspec.Struct, frozen=True):
    """`lifted`: false: the address was not off."""

    lifted: bool


def ses_routes(news: SesNews) -> Routes:
    routes = Routes(tag="notifications")

    @routes.post(
        "/api/notifications/ses",
        body=SnsMessage,
        as_text=True,
        answers={204: None},
        problems=(BAD_SIGNATURE, "unavailable"),
        summary="News from Amazon SES, by SNS",
        description="Bounces and complaints of mails. Messages of the configured topic only, signed by SNS, a day old "
        "at most; the subscription of that topic is confirmed. What was dealt with is acknowledged and does nothing.",
        example=_SNS,
    )
    async def take(request: Request) -> Response:
        await news.take(request.body)
        return empty()

    return routes


def admin_suppression_routes(suppressions: Suppressions) -> Routes:
    routes = Routes(tag="staff: notifications", examples={SuppressedPage: {"items": [_SUPPRESSED], "next": None}})

    @routes.get(
        "/api/admin/notifications/suppressed",
        access="staff",
        query=SuppressedQuery,
        answers={200: SuppressedPage},
        problems=("bad_cursor",),
        summary="Addresses that are not written to, since a mail bounced for good or was complained about",
        description="Addresses themselves are not kept: an id stands for each.",
    )
    async def listed(request: Request) -> Response:
        query: SuppressedQuery = request.query
        after = None if query.cursor is None else _place(query.cursor)
        found = await suppressions.page(after, query.limit + 1)
        shown = found[: query.limit]
        following = f"{shown[-1].at}.{shown[-1].id}" if len(found) > query.limit else None
        return json(SuppressedPage([_body(one) for one in shown], following), headers={"Cache-Control": "no-store"})

    @routes.post(
        "/api/admin/notifications/suppressed/lift",
        access="staff",
        body=Lift,
        answers={200: Lifted},
        summary="Write to an address again",
        description="SES keeps a list of its own, from which the address may have to be taken too.",
        example={"address": "ada@example.com"},
        answer_examples={200: {"lifted": True}},
    )
    async def lift(request: Request) -> Response:
        given: str = request.body.address
        return json(Lifted(await suppressions.lift(digest(given) if "@" in given else given)))

    return routes


def _body(one: Suppressed) -> SuppressedBody:
    return SuppressedBody(*one)


def _place(cursor: str) -> tuple[int, str]:
    at, _, name = cursor.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) <= 18 and name):
        raise Problem("bad_cursor", "This is not the cursor of a list of addresses.")
    return int(at), name
