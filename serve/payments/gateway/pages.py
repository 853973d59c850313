"""The pages that a shopper sees at the gateway: the card issuer's question (3-D Secure) and the bank's."""

from html import escape
from typing import Any

from serve.gateway.lean import Request, Response, Routes
from serve.money import plain
from serve.payments.gateway.calls import Page
from serve.payments.gateway.client import GatewayClient

TITLES = {"three_d_secure": "Confirm your card payment", "bank_redirect": "Pay from your bank account"}
HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http: https:"),
)
FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem;color:#1c1c1c}}
button{{font:inherit;padding:.6rem 1.2rem;margin-right:.5rem}}.test{{color:#666}}</style></head>
<body><main><h1>{title}</h1>{body}<p class="test">This is the test gateway: no money moves.</p></main></body></html>"""
QUESTION = """<p>Troupe asks for <strong>{amount}</strong>.</p>
<form method="post" action="{number}/approve"><button type="submit">Approve</button></form>
<form method="post" action="{number}/decline"><button type="submit">Decline</button></form>"""
OVER = '<p>This payment is no longer waiting for you.</p><p><a href="{return_url}">Back to the shop</a></p>'
ABANDONED = "<p>The bank does not answer. Close this page: the shop will notice that nothing came of it.</p>"


def render(page: Page) -> str:
    """The page as HTML; everything that came from outside is escaped."""
    if page.abandoned and page.open:
        body = ABANDONED
    elif page.open:
        body = QUESTION.format(amount=escape(plain(page.amount, page.currency)), number=page.number)
    else:
        body = OVER.format(return_url=escape(page.return_url, quote=True))
    return FRAME.format(title=escape(TITLES[page.action]), body=body)


def _html(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), HEADERS)


def _missing() -> Response:
    return _html(FRAME.format(title="Not found", body="<p>There is no such payment.</p>"), 404)


def page_routes(gateway: GatewayClient) -> Routes:
    """The hosted pages. Who knows the intent's id, which cannot be guessed, may answer for the shopper."""
    routes = Routes(tag="test gateway")
    number = {"number": int}
    # All of them pages to look at, not only the first.
    decided: dict[str, Any] = {"params": number, "answers": {303: None, 404: None, 409: None}}

    @routes.get(
        "/test-gateway/pages/{intent}/{number}",
        params=number,
        answers={200: None, 404: None},
        summary="Ask the shopper",
    )
    async def show(request: Request) -> Response:
        page = await gateway.page(request.params["intent"], request.params["number"])
        return _missing() if page is None else _html(render(page))

    async def decide(request: Request, approve: bool) -> Response:
        page = await gateway.decide(request.params["intent"], request.params["number"], approve)
        if page is None:
            return _missing()
        if not page.open or page.abandoned:
            return _html(render(page), 409)
        return Response(303, b"", [(b"location", page.return_url.encode()), (b"cache-control", b"no-store")])

    @routes.post("/test-gateway/pages/{intent}/{number}/approve", summary="The shopper approves", **decided)
    async def approve(request: Request) -> Response:
        return await decide(request, True)

    @routes.post("/test-gateway/pages/{intent}/{number}/decline", summary="The shopper declines", **decided)
    async def decline(request: Request) -> Response:
        return await decide(request, False)

    return routes
