"""Webhooks: signatures, the sender, and what the shop makes of them; the hosted pages."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from actors.payment import GatewayNotified, PaymentView
from serve.gateway.clock import now_ms
from serve.gateway.front import Front
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem
from serve.money import plain
from serve.payments.api import payment_routes
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.calls import Confirm, Create, Page
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.desk import GatewayDesk
from serve.payments.gateway.outgoing import WebhookEvent
from serve.payments.gateway.pages import page_routes, render
from serve.payments.gateway.webhooks import SIGNATURE_HEADER, BadSignature, HttpDelivery, sign, verify
from serve.payments.inbox import DAYS, Inbox
from serve.payments.service import Payments
from tests.databases import Databases
from tests.unit.flow_world import DEADLINE, NotingEntities

SECRET = "whsec_test"
BODY = msgspec.json.encode(WebhookEvent("evt_1", "payment_intent.succeeded", 1, "s1", "pi_1", "succeeded"))
VIEW = PaymentView(
    id="s1",
    status="captured",
    amount=1999,
    currency="EUR",
    method="card",
    intent="pi_1",
    attempts=1,
    captured=1999,
    refunded=0,
    cash=False,
    owner="user:ada",
)


def test_a_signature_holds_for_its_time_its_body_and_its_secret() -> None:
    header = sign(SECRET, BODY, 1000)
    for now in (995, 1000, 1300):
        verify([SECRET], header, BODY, now)
    verify(["new", SECRET], header, BODY, 1000)
    verify([SECRET], header + "," + sign("new", BODY, 1000).partition(",")[2], BODY, 1000)


@pytest.mark.parametrize(
    ("header", "now", "why"),
    [
        (sign(SECRET, BODY, 1000), 1301, "too old"),
        (sign(SECRET, BODY, 1000), 994, "from the future"),
        (sign("other", BODY, 1000), 1000, "no signature matches"),
        (sign(SECRET, BODY + b" ", 1000), 1000, "no signature matches"),
        (sign(SECRET, BODY, 1000).replace("t=1000", "t=1001"), 1001, "no signature matches"),
        (sign(SECRET, BODY, 1000) + ",t=1100", 1000, "no timestamp"),
        ("t=1000,v1=", 1000, "no signature matches"),
        ("t=1000,v1=é", 1000, "no signature matches"),
        ("t=-5,v1=00", 1000, "no timestamp"),
        ("t=١٠٠٠,v1=00", 1000, "no timestamp"),
        ("", 1000, "no timestamp"),
    ],
)
def test_a_bad_signature_is_refused(header: str, now: int, why: str) -> None:
    with pytest.raises(BadSignature, match=f"^{why}$"):
        verify([SECRET], header, BODY, now)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(BadSignature):
        verify([""], sign("", BODY, 1000), BODY, 1000)


class FakeTokens:
    def known(self, token: str) -> Principal | None:
        staff = frozenset({"staff"}) if token == "sam" else frozenset[str]()
        return Principal("guest" if token.startswith("g-") else "user", token, staff)

    async def verify(self, token: str) -> Principal:
        raise Problem("invalid_token", "no")


class Shop:
    """The payment service behind its front, a test gateway beside it."""

    def __init__(self, path: Path) -> None:
        self.entities = NotingEntities({("payment", "s1"): VIEW})
        self.received: list[bytes] = []
        self.away = 0
        payments = Payments(self.entities, [SECRET])
        self.desk = GatewayDesk(GatewayBook(path / "gateway.db"), secret=SECRET, deliver=self.deliver)
        self.gateway = GatewayClient(self.desk.carry_out)
        routes = [payment_routes(payments), page_routes(self.gateway)]
        front = Front(FastAPI(), routes, tokens=FakeTokens())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop")
        self.over_http = HttpDelivery("http://shop/api/payments/webhooks/test", self.http)

    async def deliver(self, body: bytes, signature: str) -> bool:
        if self.away:
            self.away -= 1
            raise OSError("nobody there")
        delivered = await self.over_http(body, signature)
        self.received.append(body)
        return delivered

    async def close(self) -> None:
        await self.gateway.close()
        await self.desk.stop()
        await self.http.aclose()

    async def post(self, body: bytes, signature: str | None) -> httpx.Response:
        headers = {"Content-Type": "application/json", **({SIGNATURE_HEADER: signature} if signature else {})}
        return await self.http.post("/api/payments/webhooks/test", content=body, headers=headers)

    async def get(self, path: str, token: str | None = None) -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})

    async def waiting(self) -> str:
        """The path of a hosted page that waits."""
        [made] = await self.desk.carry_out([Create("s1", 1999, "EUR")])
        call = Confirm(made.result.id, "s1/attempt/1", "card", "pm_card_authenticationRequired", "/back?a=1&b=2")
        [confirmed] = await self.desk.carry_out([call])
        return str(confirmed.result.action_url)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop(tmp_path)
    yield made
    await made.close()


async def test_a_webhook_is_one_command_however_often_it_comes(shop: Shop) -> None:
    for _ in range(2):
        assert (await shop.post(BODY, sign(SECRET, BODY, now_ms() // 1000))).status_code == 204
    first, second = shop.entities.asked
    news = GatewayNotified("pi_1", "evt_1", "payment_intent.succeeded")
    assert (first.kind, first.entity, first.command) == ("payment", "s1", news)
    assert first.command_id is not None
    assert first.command_id == second.command_id


async def test_a_webhook_without_a_good_signature_is_refused(shop: Shop) -> None:
    now = now_ms() // 1000
    for signature in (
        None,
        "t=1",
        sign("other", BODY, now),
        sign(SECRET, BODY, now - 400),
        sign(SECRET, BODY, now + 60),
    ):
        refused = await shop.post(BODY, signature)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_signature")
    strange = b'{"id": 5}'
    assert (await shop.post(strange, sign(SECRET, strange, now))).status_code == 422
    assert shop.entities.asked == []


async def test_a_payment_is_shown_to_its_owner_and_to_staff(shop: Shop) -> None:
    shown = await shop.get("/api/payments/s1", "ada")
    assert shown.status_code == 200
    assert shown.json() == {
        "id": "s1",
        "version": 7,
        "status": "captured",
        "amount": 1999,
        "currency": "EUR",
        "method": "card",
        "attempts": 1,
        "captured": 1999,
        "refunded": 0,
    }
    statuses = [(await shop.get("/api/payments/s1", token)).status_code for token in ("sam", "eve", "g-ada", None)]
    assert statuses == [200, 404, 404, 401]
    assert (await shop.get("/api/payments/s2", "ada")).status_code == 404


async def test_the_browser_comes_back(shop: Shop) -> None:
    back = await shop.get("/api/payments/s1/return")
    assert back.status_code == 200
    assert back.headers["content-type"] == "text/html; charset=utf-8"
    assert [(one.entity, one.command) for one in shop.entities.asked] == [("s1", GatewayNotified())]
    assert (await shop.get("/api/payments/s2/return")).status_code == 404
    assert len(shop.entities.asked) == 1


async def test_the_browser_may_be_sent_on() -> None:
    entities = NotingEntities({("payment", "s1"): VIEW})
    front = Front(FastAPI(), [payment_routes(Payments(entities, [SECRET]), shop_url="/orders/{id}")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http:
        back = await http.get("/api/payments/s1/return")
    assert (back.status_code, back.headers["location"]) == (303, "/orders/s1")


async def test_approving_on_the_hosted_page(shop: Shop) -> None:
    path = await shop.waiting()
    page = await shop.get(path)
    assert page.status_code == 200
    assert "<strong>19.99 EUR</strong>" in page.text
    assert re.findall(r'action="([^"]+)"', page.text) == ["1/approve", "1/decline"]
    back = await shop.http.post(path + "/approve")
    assert (back.status_code, back.headers["location"]) == (303, "/back?a=1&b=2")
    again = await shop.http.post(path + "/approve")
    assert again.status_code == 409
    assert '<a href="/back?a=1&amp;b=2">' in again.text
    found = await shop.gateway.look_up("s1")
    assert found is not None
    assert (found.status, found.captured) == ("succeeded", 1999)


async def test_declining_on_the_hosted_page(shop: Shop) -> None:
    path = await shop.waiting()
    assert (await shop.http.post(path + "/decline")).status_code == 303
    found = await shop.gateway.look_up("s1")
    assert found is not None
    assert (found.status, found.code) == ("requires_payment_method", "authentication_failed")
    assert (await shop.get("/test-gateway/pages/pi_none/1")).status_code == 404
    assert (await shop.http.post("/test-gateway/pages/pi_none/1/approve")).status_code == 404


def test_pages_escape_what_they_show() -> None:
    page = Page("pi_1", 1, 5, '<x>"', "bank_redirect", '"><script>', open=True, abandoned=False)
    over = Page("pi_1", 1, 5, "EUR", "bank_redirect", '"><script>', open=False, abandoned=False)
    assert "<X>" not in render(page)
    assert "<script>" not in render(over)
    assert "<form" not in render(Page("pi_1", 1, 5, "EUR", "bank_redirect", "/b", open=True, abandoned=True))
    assert [plain(5, "EUR"), plain(1999, "jpy"), plain(1999, "KWD")] == ["0.05 EUR", "1999 JPY", "1.999 KWD"]


async def until_received(shop: Shop, count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(shop.received) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_webhooks_reach_the_shop_signed(shop: Shop) -> None:
    intent = await shop.gateway.create_intent("s1", 1999, "EUR")
    await shop.gateway.confirm(intent.id, key="k", method="card", reference="pm_webhook_twice", return_url="/")
    await until_received(shop, 2)
    assert len({one.command_id for one in shop.entities.asked}) == 1
    assert [one.entity for one in shop.entities.asked] == ["s1", "s1"]


async def test_the_early_webhook_is_there_before_the_answer(shop: Shop) -> None:
    intent = await shop.gateway.create_intent("s1", 1999, "EUR")
    await shop.gateway.confirm(intent.id, key="k", method="card", reference="pm_webhook_early", return_url="/")
    assert len(shop.received) == 1


async def test_a_webhook_is_sent_again_until_it_is_taken(shop: Shop) -> None:
    shop.away = 1
    intent = await shop.gateway.create_intent("s1", 1999, "EUR")
    await shop.gateway.confirm(intent.id, key="k", method="card", reference="pm_webhook_early", return_url="/")
    await until_received(shop, 1)
    assert len(shop.entities.asked) == 1


async def test_the_inbox_knows_an_event_until_nobody_sends_it_any_more(databases: Databases) -> None:
    inbox, other = Inbox(databases("webhooks")), Inbox(databases("webhooks"))
    now = now_ms()
    for at in (now - DAYS * 86_400_000 - 1, now - 86_400_000):
        await inbox.note(f"evt_{at}", "charge.dispute.created", "s1", at)
    assert await other.has(f"evt_{now - 86_400_000}")
    await asyncio.gather(*(one.note("evt_1", "payment_intent.succeeded", "s1", now) for one in (inbox, other) * 5))
    assert await inbox.has("evt_1")
    assert not await inbox.has("evt_2")
    assert not await inbox.has(f"evt_{now - DAYS * 86_400_000 - 1}")
    for one in (inbox, other):
        await one.close()
