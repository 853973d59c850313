"""The HTTP application: Stripe's interface under /v1, pages for shoppers under /pages, strings to pull under /-."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from html import escape
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from tests.stripe_wire.account import Account, Fault, Hook
from tests.stripe_wire.account import Request as Noted
from tests.stripe_wire.errors import Refused
from tests.stripe_wire.forms import Params, parsed
from tests.stripe_wire.methods import METHODS
from tests.stripe_wire.routes import routed

PAGE = """<!doctype html><html lang="en"><title>Confirm your payment</title><h1>Confirm your payment</h1>
<p>{amount} {currency}</p><form method="post" action="{secret}/approve"><button>Approve</button></form>
<form method="post" action="{secret}/decline"><button>Decline</button></form></html>"""
HOSTED = """<!doctype html><html lang="en"><title>Pay</title><h1>Pay {amount} {currency}</h1>
<form method="post"><input name="means" value="pm_card_visa"><button>Pay</button></form></html>"""
STEP = 0.05


class Accounts:
    """By secret key, made at their first request."""

    def __init__(self, pages: str, hook: Hook) -> None:
        self._pages = pages
        self._hook = hook
        self.all: dict[str, Account] = {}

    def of(self, request: Request) -> Account:
        """Raises Refused."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key.startswith("sk_test_"):
            raise Refused(401, "invalid_request_error", f"Invalid API Key provided: {key[:8]}***")
        if key not in self.all:
            self.all[key] = Account(self._pages)
            self.all[key].hook = replace(self._hook)
        return self.all[key]

    async def settle(self) -> None:
        """For ever: charges that take their time succeed in it, also when nobody looks."""
        while True:
            for account in list(self.all.values()):
                account.ledger.next_settled()
            await asyncio.sleep(STEP)


def application(url: str, hook: Hook | None = None) -> FastAPI:
    """`url`: where this is served, for the pages' addresses."""
    accounts = Accounts(url, hook or Hook())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        settling = asyncio.create_task(accounts.settle())
        yield
        settling.cancel()

    app = FastAPI(openapi_url=None, lifespan=lifespan)

    @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
    async def stripe(request: Request) -> Response:
        try:
            account = accounts.of(request)
        except Refused as refused:
            return _json(refused.status, json.dumps(refused.body).encode())
        return await _answered(account, request)

    _pages(app, accounts)
    _hosted(app, accounts)
    _strings(app, accounts)
    return app


async def _answered(account: Account, request: Request) -> Response:
    body = (await request.body()).decode()
    path, key = request.url.path, request.headers.get("idempotency-key", "")
    params = parsed(body if request.method == "POST" else request.url.query)
    fault = account.fault(path) or Fault()
    await asyncio.sleep(fault.seconds)
    if (key and key in account.failed) or (fault.status and not fault.done):
        status, answer = _failed(fault.status or 500)
    else:
        asked = sha256(f"{request.method} {path} {body}".encode()).hexdigest()
        status, answer = await _carried_out(account, request.method, path, params, key, asked)
        if fault.status:
            status, answer = _failed(fault.status)
    if fault.kept:
        account.failed.add(key)
    account.requests.append(Noted(request.method, path, key, status))
    fresh = key in account.kept and sum(one.key == key for one in account.requests) == 1
    if fault.lost or (fresh and status < 300 and _is_lost(params)):
        return StreamingResponse(_broken_off(answer), media_type="application/json")
    headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
    if key and key in account.failed:
        headers["Stripe-Should-Retry"] = "false"
    return _json(status, answer, headers)


async def _carried_out(
    account: Account, method: str, path: str, params: Params, key: str, asked: str
) -> tuple[int, bytes]:
    """Once for each key of a write."""
    try:
        if method == "POST" and key:
            known = account.begin(key, asked)
            if known is not None:
                return known
        found: Any = routed(account.ledger, method, path, params)
        answer = 200, json.dumps(found).encode()
    except LookupError:
        account.kept.pop(key, None)  # a request that we do not understand is no request
        raise
    except Refused as refused:
        answer = refused.status, json.dumps(refused.body).encode()
        if key not in account.kept or account.kept[key].asked != asked or refused.status == 409:
            return answer
    if key in account.kept and method == "POST":
        await asyncio.sleep(_means_of(params).holds if _starts(path, params) else 0.0)
        account.kept[key].answer = answer
    return answer


def _starts(path: str, params: Params) -> bool:
    return path.endswith("/confirm") or params.get("confirm") == "true"


def _means_of(params: Params) -> Any:
    return METHODS.get(str(params.get("payment_method")), METHODS["pm_card_visa"])


def _is_lost(params: Params) -> bool:
    """The first answer to an attempt with such a method."""
    return bool(_means_of(params).lost) and ("return_url" in params)


async def _broken_off(answer: bytes) -> AsyncIterator[bytes]:
    yield answer[: len(answer) // 2]
    raise ConnectionError("the answer was lost on its way")


def _failed(status: int) -> tuple[int, bytes]:
    kind = "invalid_request_error" if status == 429 else "api_error"
    return status, json.dumps({"error": {"type": kind, "message": "An error occurred."}}).encode()


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    made = {"Request-Id": "req_test", **(headers or {})}
    return Response(body, status, made, media_type="application/json")


def _pages(app: FastAPI, accounts: Accounts) -> None:
    def asking(name: str, secret: str) -> tuple[Account, dict[str, Any]] | None:
        for account in accounts.all.values():
            if (intent := account.ledger.page(name, secret)) is not None:
                return account, intent
        return None

    @app.get("/pages/{name}/{secret}")
    async def show(name: str, secret: str) -> Response:
        found = asking(name, secret)
        if found is None:
            return HTMLResponse("<p>This payment is no longer waiting for you.</p>", 404)
        intent = found[1]
        return HTMLResponse(
            PAGE.format(amount=intent["amount"], currency=escape(intent["currency"]), secret=escape(secret))
        )

    @app.post("/pages/{name}/{secret}/{answer}")
    async def answer(name: str, secret: str, answer: str) -> Response:
        found = asking(name, secret)
        if found is None or answer not in ("approve", "decline"):
            return HTMLResponse("<p>This payment is no longer waiting for you.</p>", 404)
        account, intent = found
        return RedirectResponse(account.ledger.answer(intent, answer == "approve"), 303)


def _hosted(app: FastAPI, accounts: Accounts) -> None:
    def found(name: str) -> tuple[Account, dict[str, Any]] | None:
        for account in accounts.all.values():
            if (page := account.ledger.hosted.get(name)) is not None and page["status"] == "open":
                return account, page
        return None

    @app.get("/checkout/{name}")
    async def show(name: str) -> Response:
        page = found(name)
        if page is None:
            return HTMLResponse("<p>This page is no longer there.</p>", 404)
        return HTMLResponse(HOSTED.format(amount=page[1]["amount_total"], currency=escape(page[1]["currency"])))

    @app.post("/checkout/{name}")
    async def pay(name: str, request: Request) -> Response:
        page = found(name)
        means = parsed((await request.body()).decode()).get("means", "")
        if page is None or means not in METHODS:
            return HTMLResponse("<p>This page is no longer there.</p>", 404)
        account, asked = page
        if account.ledger.pay_on_page(asked, means):
            return RedirectResponse(asked["success_url"], 303)
        return HTMLResponse("<p>Your card was declined.</p>", 402)


def _strings(app: FastAPI, accounts: Accounts) -> None:
    @app.get("/-/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.get("/-/state")
    async def state(request: Request) -> dict[str, Any]:
        return accounts.of(request).shown()

    def string(path: str) -> Callable[[Callable[[Account, Any], Any]], None]:
        def add(does: Callable[[Account, Any], Any]) -> None:
            async def pulled(request: Request) -> Any:
                return does(accounts.of(request), await request.json())

            pull: Callable[[Request], Awaitable[Any]] = pulled
            app.post(f"/-/{path}")(pull)

        return add

    @string("faults")
    def faults(account: Account, given: Any) -> Any:
        account.faults = [Fault(**one) for one in given]

    @string("hook")
    def hook(account: Account, given: Any) -> Any:
        account.hook = Hook(**given)

    @string("release")
    def release(account: Account, given: Any) -> Any:
        """Sends events, by their ids, in the order given."""
        by_id = {one["id"]: one for one in account.events}
        for number, name in enumerate(given):
            account.send(by_id[name], number * STEP)

    @string("refunds/fail")
    def fail_refund(account: Account, given: Any) -> Any:
        return account.ledger.fail_refund(given["id"], given["reason"])

    @string("disputes")
    def disputes(account: Account, given: Any) -> Any:
        return account.ledger.dispute(given["charge"], given.get("reason", "fraudulent"))

    @string("disputes/close")
    def close_dispute(account: Account, given: Any) -> Any:
        return account.ledger.close_dispute(given["id"], given["status"])
