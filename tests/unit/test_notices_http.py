"""Notices over HTTP: listed, marked, streamed and turned off, each only by and for who they are about."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from pipelines.send_mails import Mail, Template
from serve.gateway.front import Front
from serve.notifications.api import notification_routes
from serve.notifications.feed import Feed
from serve.notifications.notices import Missed, NoticeChannel, Notices, notice_id
from serve.notifications.store import NotificationStore
from serve.orders.waiters import Waiters
from tests.databases import Databases
from tests.unit.callers import PlainTokens, bearer
from tests.unit.flow_world import DEADLINE
from tests.unit.mail_world import FACTS, ManualClock
from tests.unit.orders import order_view

ADA, EVE = bearer("user:ada"), bearer("user:eve")


class World(NamedTuple):
    http: httpx.AsyncClient
    front: Front
    store: NotificationStore
    channel: NoticeChannel
    notices: Notices
    clock: ManualClock
    streams: Waiters

    async def tell(self, event: str, template: Template = "order_shipped", owner: str = "user:ada") -> str:
        message = Mail(event, template, order_view(owner=owner), FACTS)
        await self.channel.deliver(message)
        return notice_id(message)

    async def get(self, path: str = "", who: dict[str, str] = ADA, **query: str | int) -> Any:
        answer = await self.http.get(f"/api/notifications{path}", params=query, headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    store, clock, streams = NotificationStore(databases("notifications")), ManualClock(), Waiters(2)
    notices = Notices(store, clock=clock, feed=Feed(store, look_every=0.01))
    front = Front(FastAPI(), [notification_routes(notices, streams)], tokens=PlainTokens())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop") as http:
        yield World(http, front, store, NoticeChannel(store, clock=clock), notices, clock, streams)
    await notices.close()


async def test_the_list_is_the_owners_and_pages(world: World) -> None:
    ids = []
    for n in range(3):
        ids.append(await world.tell(f"e{n}"))
        world.clock.now += 1
    await world.tell("e1")
    first = await world.get(limit=2)
    assert first["items"][0] == {
        "id": ids[2],
        "kind": "order_shipped",
        "title": "Your order 0B5A4C1E7F10 is on its way",
        "text": "It is on its way with DHL & Co. Tracking number: <T1>",
        "order_id": order_view().id,
        "at": 1_000_002,
        "read": False,
    }
    assert ([item["id"] for item in first["items"]], first["unread"]) == ([ids[2], ids[1]], 3)
    second = await world.get(limit=2, cursor=first["next"])
    assert ([item["id"] for item in second["items"]], second["next"], second["unread"]) == ([ids[0]], None, 3)
    assert await world.get(who=EVE) == {"items": [], "unread": 0, "next": None}
    assert await world.get(who=bearer("guest:ada")) == {"items": [], "unread": 0, "next": None}
    for cursor in ("%%%", "eA", "LTE", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMg"):
        answer = await world.http.get("/api/notifications", params={"cursor": cursor}, headers=ADA)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await world.http.get("/api/notifications")).status_code == 401


async def test_notices_are_in_the_language_that_is_asked_for(world: World) -> None:
    await world.tell("e1", "order_refunded")
    answer = await world.http.get("/api/notifications", headers={**ADA, "accept-language": "fr, de-AT;q=0.5"})
    assert answer.headers["content-language"] == "de"
    assert answer.headers["vary"] == "Accept-Language"
    assert answer.json()["items"][0]["text"].startswith("5,00\xa0€ gehen auf dem Weg an Sie zurück")


async def test_read_marks(world: World) -> None:
    one, two = await world.tell("e1"), await world.tell("e2")

    async def mark(notice: str, read: bool, who: dict[str, str] = ADA) -> httpx.Response:
        return await world.http.patch(f"/api/notifications/{notice}", json={"read": read}, headers=who)

    for _ in range(2):
        answer = await mark(one, True)
        assert (answer.status_code, answer.json()["id"], answer.json()["read"]) == (200, one, True)
    assert (await world.get())["unread"] == 1
    assert [item["id"] for item in (await world.get(unread="true"))["items"]] == [two]
    assert (await mark(one, False)).json()["read"] is False
    for answer in (await mark(one, True, EVE), await mark("nothing", True)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await world.get())["unread"] == 2


async def test_all_are_read_up_to_the_newest_that_was_shown(world: World) -> None:
    one = await world.tell("e1")
    await world.tell("e2")
    await world.tell("e3", owner="user:eve")

    async def read(body: dict[str, str], who: dict[str, str] = ADA) -> httpx.Response:
        return await world.http.post("/api/notifications/read", json=body, headers=who)

    assert (await read({"up_to": one}, EVE)).status_code == 404
    assert (await read({"up_to": one})).json() == {"unread": 1}
    assert (await read({})).json() == {"unread": 0}
    assert (await world.get(who=EVE))["unread"] == 1


async def test_preferences_count_from_now_on_but_not_for_what_is_required(world: World) -> None:
    before = {one["kind"]: one for one in (await world.get("/preferences"))["kinds"]}
    assert before["order_shipped"] == {
        "kind": "order_shipped",
        "title": "Orders are on their way",
        "required": False,
        "channels": {"mail": True, "notice": True, "text": None},
    }
    assert before["password_reset"]["channels"] == {"mail": True, "notice": None, "text": None}
    required = {kind for kind, one in before.items() if one["required"]}
    assert required == {
        "order_confirmation",
        "receipt",
        "order_refunded",
        "address_confirmation",
        "password_reset",
        "new_sign_in",
        "email_changed",
        "password_changed",
        "sign_in_added",
        "sign_in_removed",
    }
    wanted = {"order_shipped": {"notice": False}, "receipt": {"mail": False, "notice": False}}
    answer = await world.http.put("/api/notifications/preferences", json={"kinds": wanted}, headers=ADA)
    after = {one["kind"]: one for one in answer.json()["kinds"]}
    assert after.pop("order_shipped")["channels"] == {"mail": True, "notice": False, "text": None}
    assert after == {kind: one for kind, one in before.items() if kind != "order_shipped"}
    assert await world.get("/preferences") == answer.json()
    await world.tell("e1")
    await world.tell("e1", "receipt")
    assert [item["kind"] for item in (await world.get())["items"]] == ["receipt"]
    again = await world.http.put("/api/notifications/preferences", json={"kinds": {}}, headers=ADA)
    assert {one["kind"]: one for one in again.json()["kinds"]} == before
    bad: list[dict[str, Any]] = [
        {"kinds": {"nonsense": {}}},
        {"kinds": {"receipt": {"pigeon": True}}},
        {},
        {"kind": {}},
    ]
    for body in bad:
        refused = await world.http.put("/api/notifications/preferences", json=body, headers=ADA)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


class Reader:
    """One stream, read event by event without waiting for its end, as a browser does."""

    def __init__(self, world: World, query: str = "", **headers: str) -> None:
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._told = False
        raw = [(k.encode(), v.encode()) for k, v in {**ADA, **headers}.items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/api/notifications/events",
            "raw_path": b"/api/notifications/events",
            "query_string": query.encode(),
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "server": ("shop", 80),
            "root_path": "",
        }
        self.task = asyncio.ensure_future(world.front(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        for part in message.get("body", b"").decode().split("\n\n"):
            if part and not part.startswith(":"):
                self._events.put_nowait(part)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            lines = dict(line.split(": ", 1) for line in (await self._events.get()).split("\n"))
        return {**lines, "data": json.loads(lines["data"])}

    async def leave(self) -> None:
        self._gone.set()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([self.task])


async def test_a_stream_tells_what_comes_and_what_was_missed(world: World) -> None:
    await world.tell("e0")
    live = Reader(world)
    assert await live.next() == {"event": "unread", "data": {"unread": 1}}
    await world.tell("e1", owner="user:eve")
    one = await world.tell("e1", "receipt")
    told = await live.next()
    assert (told["event"], told["id"], told["data"]["kind"]) == ("notification", one, "receipt")
    assert await live.next() == {"event": "unread", "data": {"unread": 2}}
    await live.leave()

    two = await world.tell("e2")
    for reader in (Reader(world, **{"last-event-id": one}), Reader(world, f"after={one}")):
        assert (await reader.next())["id"] == two
        assert await reader.next() == {"event": "unread", "data": {"unread": 3}}
        await reader.leave()
    whole = Reader(world, "after=")
    assert [(await whole.next()).get("id") for _ in range(4)][1:] == [one, two, None]
    await whole.leave()
    assert world.streams.waiting == 0


async def test_streams_are_bounded(world: World) -> None:
    readers = [Reader(world), Reader(world)]
    for reader in readers:
        await reader.next()
    answer = await world.http.get("/api/notifications/events", headers=ADA)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert (await world.http.get("/api/notifications/events")).status_code == 401
    for reader in readers:
        await reader.leave()


async def test_a_stream_ends_after_a_while_and_keeps_alive_until_then(world: World) -> None:
    found: list[Missed | None] = []
    async with asyncio.timeout(DEADLINE):
        async for missed in world.notices.stream("user:ada", None, heartbeat=0.01, longest=5.0):
            found.append(missed)
            world.clock.seconds += 1.0
    assert found == [Missed([], 0), *[None] * 4]


class Places:
    """A database that fails at first, and counts how often it is asked."""

    def __init__(self) -> None:
        self.looks = 0
        self.failing = 2

    async def last_place(self) -> int:
        if self.failing:
            self.failing -= 1
            raise OSError("no database")
        return 7

    async def owners_after(self, place: int) -> tuple[set[str], int]:
        self.looks += 1
        return {"user:ada"}, place + 1


async def test_a_feed_looks_only_while_somebody_listens_and_bears_failures() -> None:
    places = Places()
    feed = Feed(places, look_every=0.0)
    async with asyncio.timeout(DEADLINE), feed.listening("user:ada") as ear, feed.listening("user:ada") as other:
        for _ in range(2):
            await ear.news(DEADLINE)
            await other.news(DEADLINE)
        assert places.looks >= 1
    looks = places.looks
    for _ in range(5):
        await asyncio.sleep(0)
    assert places.looks == looks
    async with asyncio.timeout(DEADLINE), feed.listening("user:eve") as ear:
        await ear.news(DEADLINE)
        await feed.close()


async def test_old_notices_are_forgotten(world: World) -> None:
    await world.tell("old")
    world.clock.now += 10
    kept = await world.tell("new")
    assert await world.store.forget_notices(world.clock.now) == 1
    assert [item["id"] for item in (await world.get())["items"]] == [kept]
