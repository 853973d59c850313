"""Addresses that bounced for good or complained: told by SES, off, listed, lifted, forgotten."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from serve.gateway.front import Front
from serve.notifications.erasing import MailErasure
from serve.notifications.mailer import FolderMailer
from serve.notifications.news_api import admin_suppression_routes, ses_routes
from serve.notifications.recorded import digest_of
from serve.notifications.sendings import NewMail
from serve.notifications.ses_news import SesNews
from serve.notifications.sns import SnsMessage, SnsTopic
from serve.notifications.store import NotificationStore
from serve.notifications.suppressed import Suppressed, digest
from tests.databases import Databases
from tests.unit.callers import PlainTokens, bearer
from tests.unit.mail_world import ManualClock
from tests.unit.sns_signing import AT, TOPIC, bounce, certificate, complaint, signed, subscription
from tests.unit.test_mails import Desk, mail
from tests.unit.test_sns import Sns

STAFF, ADA = bearer("staff:eve"), bearer("user:ada")


class World(NamedTuple):
    http: httpx.AsyncClient
    store: NotificationStore
    host: Sns

    async def tell(self, message: SnsMessage) -> httpx.Response:
        headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": message.type}
        return await self.http.post("/api/notifications/ses", content=msgspec.json.encode(message), headers=headers)

    async def told(self, message: SnsMessage) -> None:
        assert (await self.tell(message)).status_code == 204

    async def off(self) -> list[Suppressed]:
        return await self.store.suppressed.page(None, 100)

    async def listed(self, who: dict[str, str] = STAFF, **query: Any) -> httpx.Response:
        return await self.http.get("/api/admin/notifications/suppressed", params=query, headers=who)

    async def lift(self, address: str, who: dict[str, str] = STAFF) -> httpx.Response:
        path = "/api/admin/notifications/suppressed/lift"
        return await self.http.post(path, json={"address": address}, headers=who)


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    store, host = NotificationStore(databases("notifications")), Sns()
    news = SesNews(store.suppressed, SnsTopic(TOPIC, host.fetch), lambda: AT)
    routes = [ses_routes(news), admin_suppression_routes(store.suppressed)]
    front = Front(FastAPI(), routes, tokens=PlainTokens())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http:
        yield World(http, store, host)
    await store.close()


def counted(what: str) -> float:
    return REGISTRY.get_sample_value("troupe_mail_news_total", {"what": what}) or 0.0


async def test_a_permanent_bounce_turns_the_address_off_once(world: World) -> None:
    before = counted("bounce, permanent")
    for _ in range(3):
        await world.told(signed(bounce("Gone <Gone@Example.com>")))
    assert await world.off() == [Suppressed(digest("gone@example.com"), "bounce", AT, "", "")]
    assert await world.store.suppressed.has("GONE@example.COM")
    assert not await world.store.suppressed.has("here@example.com")
    assert counted("bounce, permanent") == before + 1


async def test_a_replay_turns_nothing_off_that_was_lifted(world: World) -> None:
    message = signed(bounce("gone@example.com"))
    await world.told(message)
    assert (await world.lift("Gone@example.com")).json() == {"lifted": True}
    await world.told(message)
    assert await world.off() == []
    assert (await world.lift("gone@example.com")).json() == {"lifted": False}


async def test_a_complaint_goes_before_a_bounce(world: World) -> None:
    await world.told(signed(bounce("gone@example.com")))
    await world.told(signed(complaint("gone@example.com"), message_id="m2"))
    await world.told(signed(bounce("gone@example.com"), message_id="m3"))
    assert [(one.reason, one.at) for one in await world.off()] == [("complaint", AT)]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (bounce("full@example.com", kind="Transient"), "bounce, transient"),
        (bounce("odd@example.com", kind="Undetermined"), "bounce, undetermined"),
        (complaint("glad@example.com", feedback="not-spam"), "complaint taken back"),
        ('{"eventType":"Delivery","mail":{}}', "other"),
        ("Successfully validated SNS topic for Amazon SES event publishing.", "other"),
    ],
)
async def test_anything_else_is_counted_and_does_nothing(world: World, message: str, what: str) -> None:
    before = counted(what)
    await world.told(signed(message))
    assert (await world.off(), counted(what)) == ([], before + 1)


async def test_a_subscription_of_our_topic_is_confirmed(world: World) -> None:
    await world.told(subscription())
    assert world.host.asked[1:] == [
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&"
        "TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Amail&Token=t%2F1"
    ]


async def test_nothing_is_done_for_who_is_not_believed(world: World) -> None:
    forged = [
        signed(bounce("ada@example.com"), by="mallory"),
        signed(bounce("ada@example.com"), topic_arn=f"{TOPIC}2"),
        subscription(topic_arn=f"{TOPIC}2"),
        signed(bounce("ada@example.com"), at=AT - 25 * 3_600_000),
    ]
    for message in forged:
        answer = await world.tell(message)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")
    assert await world.off() == []
    assert [url for url in world.host.asked if "Confirm" in url] == []


async def test_without_a_topic_nobody_is_believed(world: World) -> None:
    front = Front(FastAPI(), [ses_routes(SesNews(world.store.suppressed, None))], tokens=PlainTokens())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http:
        answer = await World(http, world.store, world.host).tell(signed(bounce("ada@example.com")))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")


async def test_sns_is_asked_to_come_again_while_its_certificate_cannot_be_had(world: World) -> None:
    world.host.fails = httpx.ConnectError("away")
    answer = await world.tell(signed(bounce("gone@example.com")))
    assert (answer.status_code, answer.json()["code"], await world.off()) == (503, "unavailable", [])
    world.host.fails = None
    world.host.pem = certificate()
    await world.told(signed(bounce("gone@example.com")))
    assert len(await world.off()) == 1


async def test_staff_see_whose_mail_it_was_and_no_address(world: World) -> None:
    tag = digest_of("order/o1/6/0", "receipt")
    row = NewMail(f"<{tag}@shop.example>", "order/o1/6/0", "receipt", "o1", "user:ada")
    await world.store.mails.begin(row, "me", 1, 2)
    await world.told(signed(bounce("gone@example.com", tag=tag)))
    for number, sort in enumerate(("a", "b", "c")):
        await world.told(signed(bounce(f"{sort}@example.com", tag="../etc"), message_id=f"n{number}"))
    answer = await world.listed()
    assert "example.com" not in answer.text
    items = {one["id"]: one for one in answer.json()["items"]}
    assert items[digest("gone@example.com")] == {
        "id": digest("gone@example.com"),
        "reason": "bounce",
        "at": AT,
        "owner": "user:ada",
        "order_id": "o1",
    }
    first = (await world.listed(limit=3)).json()
    second = (await world.listed(limit=3, cursor=first["next"])).json()
    assert (len(first["items"]), len(second["items"]), second["next"]) == (3, 1, None)
    assert {one["id"] for one in first["items"] + second["items"]} == items.keys()
    assert (await world.lift(digest("gone@example.com"))).json() == {"lifted": True}
    assert (await world.listed(cursor="x")).json()["code"] == "bad_cursor"


async def test_nobody_else_sees_or_lifts_anything(world: World) -> None:
    for who, status in ((ADA, 403), ({}, 401)):
        assert (await world.listed(who)).status_code == status
        assert (await world.lift("gone@example.com", who)).status_code == status


async def test_nothing_is_mailed_to_an_address_that_is_off(databases: Databases) -> None:
    desk = Desk(databases("notifications"))
    await desk.store.suppressed.add("m1", ["ADA@example.com"], "complaint", "", AT)
    await desk.mail.deliver(mail())
    assert (desk.post.taken, await desk.statuses()) == ([], ["suppressed"])
    await desk.store.suppressed.lift(digest("ada@example.com"))
    await desk.mail.deliver(mail(event_id="order/o1/7/0"))
    assert (len(desk.post.taken), await desk.statuses()) == (1, ["suppressed", "sent"])
    await desk.store.close()


async def test_an_erased_persons_address_is_off_no_longer(world: World, tmp_path: Any) -> None:
    for owner, order_id, address in (("user:ada", "o1", "a@x.org"), ("guest:g", "o2", "b@x.org")):
        tag = digest_of(order_id, "receipt")
        row = NewMail(f"<{tag}@shop.example>", order_id, "receipt", order_id, owner)
        await world.store.mails.begin(row, "me", 1, 2)
        await world.told(signed(bounce(address, tag=tag), message_id=order_id))
    await MailErasure(world.store, FolderMailer(tmp_path), clock=ManualClock()).erase("user:ada", [])
    assert [one.owner for one in await world.off()] == ["guest:g"]
    # Nor is one kept that SES tells late.
    await world.told(signed(bounce("a@x.org", tag=digest_of("o1", "receipt")), message_id="late"))
    assert [one.owner for one in await world.off()] == ["guest:g"]


async def test_after_a_year_an_address_is_tried_again(world: World) -> None:
    await world.told(signed(bounce("a@x.org")))
    await world.told(signed(bounce("b@x.org"), message_id="m2"))
    assert await world.store.suppressed.forget(AT, AT) == 0
    assert await world.store.suppressed.forget(AT + 1, AT + 1) == 2
    assert (await world.off(), await world.store.suppressed.knows("m1")) == ([], False)
