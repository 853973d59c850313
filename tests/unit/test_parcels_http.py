"""Parcels, guests' links, receipts and refunds over HTTP, against the real rules."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from actors import payment
from actors.order import PaymentCaptured, PaymentClosed, PaymentRefunded
from actors.pricing import Price
from actors.stock import Receive
from pipelines.list_orders import OrderNote, Parcel
from serve.orders.api import best_of
from serve.orders.carriers import SIGNATURE_HEADER, page_of
from serve.orders.receipts import receipt_html, receipt_of
from serve.orders.schemas import Seller
from serve.orders.store import OrderStore
from serve.payments.gateway.webhooks import sign
from tests.unit.callers import bearer
from tests.unit.orders import order_view
from tests.unit.test_orders_http import CARD, CASH, SECRET, STAFF, Bench, problem

NOW = 1_700_000_000
DAY = 86_400_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = OrderStore(f"sqlite:///{tmp_path / 'orders.db'}")
    made = Bench(store)
    for sku in ("MUG", "TEA"):
        await made.shop.tell("stock", sku, Receive(10))
    async with made.http:
        yield made
    await store.close()


async def packed(bench: Bench) -> str:
    """An order of two mugs and a tea, packed."""
    await bench.add("MUG", 2)
    await bench.add("TEA")
    order_id: str = (await bench.buy()).json()["id"]
    await bench.post(f"/api/admin/orders/{order_id}/pack", STAFF)
    return order_id


async def paid(bench: Bench, order: dict[str, Any] = CARD) -> str:
    """Two mugs, paid by card."""
    await bench.add("MUG", 2)
    order_id: str = (await bench.buy(order)).json()["id"]
    await bench.shop.tell("order", order_id, PaymentCaptured(2_890))
    return order_id


async def test_an_order_leaves_in_two_parcels(bench: Bench) -> None:
    order_id = await packed(bench)
    path = f"/api/admin/orders/{order_id}/shipments"
    key = bearer("staff:bob", idempotency_key="s1")
    sent = {"carrier": "Mule", "tracking": "4242424242424242", "lines": {"MUG": 2}, "expected_on": "2026-03-04"}
    first = await bench.post(path, key, **sent)
    assert first.status_code == 201
    assert (await bench.post(path, key, **sent)).json()["shipments"] == first.json()["shipments"]
    order = (await bench.get(f"/api/orders/{order_id}")).json()
    assert (order["status"], order["partially_shipped"]) == ("packed", True)
    assert (order["shipments"][0]["expected_on"], order["shipments"][0]["url"]) == ("2026-03-04", None)
    too_much = await bench.post(path, STAFF, carrier="Mule", tracking="2", lines={"MUG": 1})
    assert problem(too_much) == (422, "bad_shipment_lines")
    assert too_much.json()["about"] == {"left": {"TEA": 1}}
    second = await bench.post(path, STAFF, carrier="Mule", tracking="2", url="https://mule.example/2")
    assert (second.json()["status"], second.json()["shipments"][1]["lines"]) == ("shipped", {"TEA": 1})
    steps = [("1", "in_transit", None), ("1", "delivered", None), ("2", "exception", "no_answer")]
    for shipment, step, code in steps:
        answer = await bench.post(f"{path}/{shipment}/steps", STAFF, step=step, **({"code": code} if code else {}))
        assert (answer.status_code, answer.json()["status"]) == (200, "shipped")
    last = await bench.post(f"{path}/2/steps", STAFF, step="delivered", at=NOW * 1000 + 1)
    assert (last.json()["status"], last.json()["payment_status"]) == ("delivered", "paid")
    tracking = (await bench.get(f"/api/orders/{order_id}/tracking")).json()
    assert [one["status"] for one in tracking["shipments"]] == ["delivered", "delivered"]
    assert [step["step"] for step in tracking["shipments"][1]["steps"]] == ["handed_over", "exception", "delivered"]
    assert [(step["step"], step["about"]) for step in tracking["history"] if step["about"]] == [
        ("shipment_added", "1"),
        ("shipment_added", "2"),
        ("shipment_in_transit", "1"),
        ("shipment_delivered", "1"),
        ("shipment_exception", "2"),
        ("shipment_delivered", "2"),
    ]
    live = (await bench.get(f"/api/orders/{order_id}/events")).text
    assert '"step":"shipment_exception","who":"staff"' in live


@pytest.mark.parametrize(
    ("path", "sent", "status", "code"),
    [
        ("shipments", {"carrier": "Mule", "tracking": "1", "expected_on": "2026-02-30"}, 422, "invalid_request"),
        ("shipments", {"carrier": "Mule", "tracking": "1", "url": "javascript:alert(1)"}, 422, "invalid_request"),
        ("shipments", {"carrier": "4242424242424242", "tracking": "1"}, 422, "card_number_not_accepted"),
        ("shipments", {"carrier": "Mule", "tracking": "1", "lines": {"POT": 1}}, 422, "bad_shipment_lines"),
        ("shipments/1/steps", {"step": "in_transit"}, 404, "no_such_shipment"),
        ("shipments/1/steps", {"step": "lost"}, 422, "invalid_request"),
        ("shipments/1/steps", {"step": "in_transit", "at": NOW * 1000 + DAY + 1}, 422, "bad_time"),
        ("shipments/1/steps", {"step": "in_transit", "code": "with Mrs Smith"}, 422, "invalid_request"),
    ],
)
async def test_unusable_shipments(bench: Bench, path: str, sent: dict[str, Any], status: int, code: str) -> None:
    order_id = await packed(bench)
    answer = await bench.post(f"/api/admin/orders/{order_id}/{path}", STAFF, **sent)
    assert problem(answer) == (status, code)
    assert problem(await bench.post(f"/api/admin/orders/{order_id}/{path}", **sent)) == (403, "forbidden")


def signed(event: dict[str, Any], secret: str = SECRET, at: int = NOW) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(event).encode()
    return body, {SIGNATURE_HEADER: sign(secret, body, at), "content-type": "application/json"}


async def hook(bench: Bench, carrier: str, event: dict[str, Any], **how: Any) -> httpx.Response:
    body, headers = signed(event, **how)
    return await bench.http.post(f"/api/orders/carriers/{carrier}/webhooks", content=body, headers=headers)


async def test_a_carrier_tells_where_a_parcel_is(bench: Bench) -> None:
    order_id = await packed(bench)
    event = {"id": "e1", "tracking": "4242424242424242", "step": "in_transit", "at": NOW * 1000 - 5}
    assert problem(await hook(bench, "royal-mail", event)) == (404, "unknown_parcel")
    await bench.post(
        f"/api/admin/orders/{order_id}/shipments", STAFF, carrier="Royal Mail", tracking="4242424242424242"
    )
    parcel = Parcel("royal-mail", "4242424242424242", "1")
    await bench.store.note_orders([OrderNote(order_id, "u", 1, "shipped", 1, "EUR", 9, parcels=(parcel,))])
    assert problem(await hook(bench, "dhl", event)) == (404, "unknown_parcel")
    for _ in range(2):
        assert (await hook(bench, "Royal-Mail", event)).status_code == 204
    assert (await hook(bench, "royal-mail", {**event, "id": "e2"})).status_code == 204, "the same news by another name"
    order = (await bench.get(f"/api/orders/{order_id}")).json()
    assert [step["step"] for step in order["shipments"][0]["steps"]] == ["in_transit", "handed_over"]
    assert [step["who"] for step in order["history"] if step["step"] == "shipment_in_transit"] == ["carrier"]
    ids = {asked.command_id for asked in bench.shop.asked if type(asked.command).__name__ == "NoteShipment"}
    assert len(ids) == 2
    done = {**event, "id": "e3", "step": "delivered", "at": NOW * 1000}
    assert (await hook(bench, "royal-mail", done)).status_code == 204
    order = (await bench.get(f"/api/orders/{order_id}")).json()
    assert (order["status"], order["history"][-2]["step"], order["history"][-2]["who"]) == (
        "delivered",
        "delivered",
        "carrier",
    )


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ({"secret": "another"}, "no signature matches"),
        ({"at": NOW - 301}, "too old"),
        ({"at": NOW + 60}, "from the future"),
    ],
)
async def test_a_webhook_that_is_not_to_be_believed(bench: Bench, how: dict[str, Any], detail: str) -> None:
    event = {"id": "e1", "tracking": "T1", "step": "in_transit", "at": NOW * 1000}
    answer = await hook(bench, "dhl", event, **how)
    assert problem(answer) == (400, "bad_signature")
    assert detail in answer.json()["detail"]
    bare = await bench.http.post("/api/orders/carriers/dhl/webhooks", json=event)
    assert problem(bare) == (400, "bad_signature")


async def test_a_webhook_from_the_future(bench: Bench) -> None:
    event = {"id": "e1", "tracking": "T1", "step": "in_transit", "at": NOW * 1000 + DAY + 1}
    assert problem(await hook(bench, "dhl", event)) == (422, "bad_time")


def test_well_known_carriers_have_a_page() -> None:
    assert page_of("UPS", "1Z 9/A") == "https://www.ups.com/track?tracknum=1Z%209%2FA"
    assert page_of("Mule & Sons", "1") == ""


async def test_a_guest_follows_an_order_by_its_link(bench: Bench) -> None:
    guest = bearer((await bench.add(quantity=2, headers={}))["guest_token"])
    order_id = (await bench.buy(CASH | {"email": "ada@example.com"}, guest)).json()["id"]
    link = await bench.orders.access_link(order_id)
    assert link is not None
    path, _, token = link.partition("?access=")
    assert path == f"/api/orders/{order_id}"
    paths = [path, f"{path}/tracking", f"{path}/receipt", f"{path}/receipt.html"]
    for one in paths:
        assert (await bench.http.get(f"{one}?access={token}")).status_code == 200
        assert (await bench.http.get(one, headers={"X-Order-Access": token})).status_code == 200
        assert (await bench.http.get(f"{one}?access={token}", headers=bearer("user:eve"))).status_code == 200
        assert problem(await bench.http.get(one)) == (401, "not_authenticated")
        assert problem(await bench.http.get(f"{one}?access={token[:-1]}")) == (404, "not_found")
        assert problem(await bench.http.get(f"{one}?access=")) == (401, "not_authenticated")
    assert problem(await bench.http.get(f"{path}/events?access=wrong")) == (404, "not_found")
    assert "owner" not in (await bench.http.get(link)).json()
    for method in ("cancel", "access/revoke"):
        assert (await bench.http.post(f"{path}/{method}?access={token}")).status_code == 401
    assert problem(await bench.http.post(f"{path}/access/revoke", headers=bearer("user:eve"))) == (404, "not_found")
    assert (await bench.http.post(f"{path}/access/revoke", headers=guest)).status_code == 204
    assert await bench.orders.access_link(order_id) is None
    for one in paths:
        assert problem(await bench.http.get(f"{one}?access={token}")) == (404, "not_found")
    assert (await bench.http.get(path, headers=guest)).status_code == 200


async def test_staff_revoke_a_link_and_it_ends_with_the_contact(bench: Bench) -> None:
    links = []
    for _ in range(2):
        await bench.add()
        order_id = (await bench.buy()).json()["id"]
        links.append((order_id, await bench.orders.access_link(order_id)))
    (first, link), (_, other) = links
    assert (await bench.http.get(str(other))).status_code == 200
    answer = await bench.http.post(f"/api/admin/orders/{first}/access/revoke", headers=STAFF)
    assert answer.status_code == 204
    assert problem(await bench.http.get(str(link))) == (404, "not_found")
    assert (await bench.http.get(str(other))).status_code == 200
    await bench.store.erase_contacts("user:ada")
    assert problem(await bench.http.get(str(other))) == (404, "not_found")
    missing = await bench.http.post("/api/admin/orders/none/access/revoke", headers=STAFF)
    assert problem(missing) == (404, "not_found")


async def test_the_secret_of_a_link_is_in_no_entity_and_no_answer(bench: Bench) -> None:
    await bench.add()
    bought = await bench.buy()
    order_id = bought.json()["id"]
    token = str(await bench.orders.access_link(order_id)).partition("access=")[2]
    texts = [repr(state) for state in bench.shop.states.values()] + [bought.text]
    texts += [(await bench.get(f"/api/admin/orders/{order_id}", STAFF)).text]
    assert not any(token in text for text in texts)


async def test_a_receipt_tells_the_tax_the_seller_and_the_card(bench: Bench) -> None:
    order_id = await paid(bench)
    await bench.shop.tell("payment", order_id, payment.Open(order_id, 2_890, "EUR", "card", "pm", 9, "user:ada"))
    captured = payment.Outcome("succeeded", captured=2_890, brand="visa", last4="4242")
    await bench.shop.tell("payment", order_id, payment.IntentCreated("pi", 1, captured))
    path = f"/api/orders/{order_id}/receipt"
    receipt = (await bench.get(path)).json()
    assert receipt["tax_lines"] == [{"rate_bp": 2_000, "net": 2_408, "tax": 482, "gross": 2_890}]
    assert receipt["payment"] == {"method": "card", "brand": "visa", "last4": "4242"}
    assert receipt["seller"] == {"name": "Mugs & Co", "address": ["1 Kiln Lane", "Stoke"], "tax_id": "GB 123"}
    assert (receipt["number"], receipt["issued_at"]) == (order_id[-12:].upper(), bench.shop.now)
    ada = bearer("user:ada", accept="text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
    page = await bench.get(path, ada)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert page.headers["content-security-policy"] == policy
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    for shown in ("Mugs &amp; Co", "1 Kiln Lane", "GB 123", "Ada Byron", "€28.90", "€4.82", "20 %", "@media print"):
        assert shown in page.text
    assert "Card (visa, ending in 4242)" in page.text
    assert "Ada Byron" in (await bench.get(f"{path}.html")).text
    text = await bench.get(path, bearer("user:ada", accept="text/plain"))
    assert "Paid (card (visa, ending in 4242))" in text.text
    assert problem(await bench.get(path, bearer("user:eve"))) == (404, "not_found")
    german = bearer("user:ada", accept="text/html", accept_language="de-AT, en;q=0.5")
    page = await bench.get(path, german)
    assert (page.headers["content-language"], '<html lang="de">' in page.text) == ("de", True)
    for shown in ("Geliefert an", "28,90\u00a0€", "Karte (visa, endet auf 4242)", "Summe", "Steuersatz"):
        assert shown in page.text
    text = await bench.get(path, {**german, "accept": "text/plain"})
    assert f"Beleg für die Bestellung {order_id}\nAufgegeben am 2023" in text.text
    assert "davon Steuer (20 %)" in text.text
    assert "28,90\u00a0€" in text.text


async def test_a_receipt_is_in_the_language_of_its_order(bench: Bench) -> None:
    order_id = await paid(bench, {**CARD, "language": "de-DE"})
    page = await bench.get(f"/api/orders/{order_id}/receipt.html", bearer("user:ada", accept_language="en"))
    assert "Bestellung" in page.text


@pytest.mark.parametrize(
    ("currency", "total"), [("EUR", "€29.99"), ("JPY", "¥2,999"), ("KWD", "KWD\u00a02.999"), ("USD", "$29.99")]
)
def test_a_page_escapes_what_came_from_outside_and_knows_the_digits_of_a_currency(currency: str, total: str) -> None:
    found = receipt_of(order_view(currency=currency, refunded=1), None, None, Seller("<i>S</i>"))
    assert found is not None
    page = receipt_html(found)
    assert "&lt;b&gt;Pot&lt;/b&gt; &amp; lid" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert f'<td class="n">{total}</td>' in page
    assert "Delivered to" not in page
    assert "Refunded" in page
    assert "script" not in page


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/plain, application/json;q=0.5", "text/plain"),
        ("text/*;q=0.3, application/json;q=0.2", "text/html"),
        ("image/png", "application/json"),
        ("text/html;q=oops", "application/json"),
        ("text/html;q=0, */*;q=0.1", "application/json"),
    ],
)
def test_what_is_liked_best(accept: str | None, wanted: str) -> None:
    assert best_of(accept, ("application/json", "text/html", "text/plain")) == wanted


async def test_cancelling_an_unpaid_order_puts_its_lines_back_at_once(bench: Bench) -> None:
    await bench.add("MUG", 2)
    order_id = (await bench.buy(CARD)).json()["id"]
    assert (await bench.get("/api/cart")).json()["lines"] == []
    closing = await bench.post(f"/api/orders/{order_id}/cancel")
    assert closing.status_code == 202
    assert [type(sent.message).__name__ for sent in bench.shop.to_payments] == ["Close"]
    # Nothing was ever tried at the gateway: the session says at once that no money moves.
    await bench.shop.tell("payment", order_id, bench.shop.to_payments[0].message)
    assert payment.view(bench.shop.states["payment", order_id]).status == "closed"
    await bench.shop.tell("order", order_id, PaymentClosed())
    cart = (await bench.get("/api/cart")).json()
    assert [(line["sku"], line["quantity"]) for line in cart["lines"]] == [("MUG", 2)]
    assert cart["pending_orders"] == []
    assert (await bench.get("/api/admin/stock/MUG", STAFF)).json()["available"] == 10
    assert (await bench.get(f"/api/orders/{order_id}")).json()["status"] == "cancelled"


async def test_refunds_in_parts_put_back_or_not_and_never_more_than_was_paid(bench: Bench) -> None:
    order_id = await paid(bench)
    path = f"/api/admin/orders/{order_id}/refunds"
    lines = [{"sku": "MUG", "quantity": 1, "restock": False}]
    first = await bench.post(path, STAFF, lines=lines, reason="broken")
    (refund,) = first.json()["refunds"]
    assert (refund["amount"], refund["reason"]) == (1_200, "broken")
    assert (await bench.get("/api/admin/stock/MUG", STAFF)).json()["available"] == 8
    back = [{"sku": "MUG", "quantity": 1}]
    second = await bench.post(path, STAFF, lines=back, amount=1_000, reason="too late")
    assert [one["amount"] for one in second.json()["refunds"]] == [1_200, 1_000]
    assert (await bench.get("/api/admin/stock/MUG", STAFF)).json()["available"] == 9
    assert problem(await bench.post(path, STAFF, lines=back, reason="again")) == (422, "bad_refund_lines")
    too_much = await bench.post(path, STAFF, amount=691, reason="x")
    assert problem(too_much) == (422, "refund_too_large")
    assert too_much.json()["about"] == {"left": 690}
    rest = await bench.post(path, STAFF, reason="all of it")
    assert [one["amount"] for one in rest.json()["refunds"]] == [1_200, 1_000, 690]
    for one in rest.json()["refunds"]:
        await bench.shop.tell("order", order_id, PaymentRefunded(one["id"], one["amount"]))
    order = (await bench.get(f"/api/orders/{order_id}")).json()
    assert order["payment_status"] == "refunded"
    assert all("reason" not in one for one in order["refunds"])
    assert (await bench.get(f"/api/orders/{order_id}/receipt")).json()["refunded"] == 2_890


async def test_a_refund_says_whether_its_units_had_left(bench: Bench) -> None:
    order_id = await paid(bench)
    for path, body in (("pack", {}), ("shipments", {"carrier": "DHL", "tracking": "1", "lines": {"MUG": 1}})):
        await bench.post(f"/api/admin/orders/{order_id}/{path}", STAFF, **body)
    path = f"/api/admin/orders/{order_id}/refunds"
    came_back = [{"sku": "MUG", "quantity": 1, "shipped": True}]
    assert (await bench.post(path, STAFF, lines=came_back, reason="too big")).status_code == 200
    assert problem(await bench.post(path, STAFF, lines=came_back, reason="again")) == (422, "bad_refund_lines")
    assert bench.shop.states["order", order_id].to_ship == {"MUG": 1}


async def test_orders_are_found_by_filters(bench: Bench) -> None:
    await bench.store.note_orders(
        [
            OrderNote("0199a", "user:ada", 100, "confirmed", 500, "EUR", 3, "paid", ("MUG",)),
            OrderNote("0199b", "user:ada", 200, "packed", 500, "EUR", 3, "paid", ("TEA",)),
            OrderNote("0199c", "user:eve", 300, "packed", 500, "EUR", 3, "cash_due", ("TEA",)),
        ]
    )

    async def found(path: str, who: dict[str, str] | None = None) -> list[str]:
        return [one["id"] for one in (await bench.get(path, who)).json()["items"]]

    assert await found("/api/orders?q=TEA") == ["0199b"]
    assert await found("/api/orders?q=0199A") == ["0199a"]
    assert await found("/api/orders?status=confirmed&payment_status=paid") == ["0199a"]
    assert await found("/api/orders?from=150&to=200") == []
    assert await found("/api/admin/orders?from=200&q=TEA", STAFF) == ["0199c", "0199b"]
    assert await found("/api/admin/orders?payment_status=cash_due", STAFF) == ["0199c"]
    first = (await bench.get("/api/admin/orders?q=TEA&limit=1", STAFF)).json()
    assert await found(f"/api/admin/orders?q=TEA&limit=1&cursor={first['next']}", STAFF) == ["0199b"]
    for wrong in ("status=lost", "payment_status=x", "from=x", "to=-1", "q=", f"q={'x' * 65}"):
        assert problem(await bench.get(f"/api/orders?{wrong}")) == (422, "invalid_request")


async def test_what_is_charged_is_the_price_at_its_version(bench: Bench) -> None:
    await bench.add()
    bench.prices.change(Price("MUG", "Mug", 1_300, version=4))
    order_id = (await bench.buy()).json()["id"]
    (line,) = bench.shop.states["order", order_id].lines
    assert (line.unit_price, line.price_version) == (1_300, 4)
    assert msgspec.to_builtins(line)["price_version"] == 4
