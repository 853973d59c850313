"""The FastAPI application's answers have a deadline, whatever it waits for; the users' routes over a dead database."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from serve.gateway.answering import LATE
from serve.gateway.call import Bounds
from serve.gateway.front import Front
from tests.unit.users_front import ADA, LOG_IN, LOOKS, Users, changes

LOOKED = "No answer in time; please try again."
SOON = Bounds(reading=0.05, writing=0.05)
DEADLINE = 5.0


class Slow:
    """An application that waits for ever; `tidied` is set once it was allowed to tidy up after it was cancelled."""

    def __init__(self) -> None:
        self.cancelled, self.may_tidy, self.tidied = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.begun = asyncio.Event()
        app = FastAPI()
        app.get("/api/slow")(self.wait)
        app.post("/api/slow")(self.wait)
        app.post("/api/stubborn")(self.answer_all_the_same)
        app.get("/api/long")(self.tell)
        app.post("/api/echo")(self.echo)
        self.front = Front(app, bounds=SOON)

    async def wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
            await self.may_tidy.wait()
            self.tidied.set()

    async def answer_all_the_same(self) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.may_tidy.wait()
        self.tidied.set()
        return "done"

    async def tell(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one "
            await asyncio.sleep(2 * SOON.reading)
            yield b"two"

        return StreamingResponse(pieces())

    async def echo(self, body: dict[str, int]) -> dict[str, int]:
        return body


@pytest.fixture
async def slow() -> Slow:
    return Slow()


def client(front: Front) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://shop")


def told(answer: httpx.Response) -> tuple[int, str, str, str]:
    body = answer.json()
    return answer.status_code, body["code"], body["detail"], answer.headers["retry-after"]


@pytest.mark.parametrize(("method", "detail"), [("GET", LOOKED), ("POST", LATE)])
async def test_who_waits_too_long_is_told_and_what_is_tidied_is_not_waited_for(
    slow: Slow, method: str, detail: str
) -> None:
    async with asyncio.timeout(DEADLINE), client(slow.front) as http:
        assert told(await http.request(method, "/api/slow")) == (503, "unavailable", detail, "1")
        await slow.cancelled.wait()
        assert not slow.tidied.is_set()
        slow.may_tidy.set()
        await slow.tidied.wait()


async def test_what_is_said_too_late_is_heard_by_nobody(slow: Slow) -> None:
    async with asyncio.timeout(DEADLINE), client(slow.front) as http:
        assert told(await http.post("/api/stubborn"))[:2] == (503, "unavailable")
        slow.may_tidy.set()
        await slow.tidied.wait()
        assert (await http.post("/api/echo", json={"a": 1})).json() == {"a": 1}


async def test_an_answer_that_has_begun_is_finished(slow: Slow) -> None:
    async with asyncio.timeout(DEADLINE), client(slow.front) as http:
        assert (await http.get("/api/long")).text == "one two"


async def test_who_goes_away_takes_the_request_along(slow: Slow) -> None:
    async with asyncio.timeout(DEADLINE), client(slow.front) as http:
        asking = asyncio.create_task(http.get("/api/slow"))
        await slow.begun.wait()
        asking.cancel()
        await slow.cancelled.wait()
        slow.may_tidy.set()
        await slow.tidied.wait()


async def test_a_slow_body_is_not_the_databases_fault(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.gateway.call.BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/echo", "query_string": b"", "headers": []}
    async with asyncio.timeout(DEADLINE):
        await slow.front(scope, receive, send)
    assert sent[0]["status"] == 408


class Hanging(Users):
    """Over a database that stops answering when told to: its statements wait in their threads."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, Bounds(reading=0.5, writing=0.5))
        self.answers = threading.Event()
        self.answers.set()
        sa.event.listen(self.engine, "before_cursor_execute", lambda *_: self.answers.wait(DEADLINE))

    def close(self) -> None:
        self.answers.set()
        super().close()


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Hanging]:
    made = Hanging(tmp_path / "users.db")
    yield made
    made.close()


async def test_a_database_that_does_not_answer_hangs_nobody(users: Hanging) -> None:
    async with asyncio.timeout(2 * DEADLINE), client(users.front) as http:
        assert (await http.post("/api/users", json=ADA)).status_code == 201
        session = (await http.post("/api/users/sessions", json=LOG_IN)).json()
        token = {"Authorization": f"Bearer {session['access_token']}"}
        assert (await http.get("/api/users/me", headers=token)).status_code == 200
        users.answers.clear()
        # All at once: there are fewer threads than callers, so that some wait for one only.
        looked = await asyncio.gather(*(http.get(path, headers=token) for path in LOOKS * 4))
        posted = changes(session["refresh_token"]).items()
        changed = await asyncio.gather(*(http.post(path, json=body) for path, body in posted))
        assert [told(one) for one in looked] == [(503, "unavailable", LOOKED, "1")] * 16
        assert [told(one) for one in changed] == [(503, "unavailable", LATE, "1")] * 4
        users.answers.set()
        assert (await http.get("/api/users/me", headers=token)).status_code == 200
