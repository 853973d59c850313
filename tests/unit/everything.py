"""Everything that a shop's interface can be asked for, once: what works, and what only the shop's own rules refuse."""

import asyncio
import json
import secrets
import time

import httpx

from serve.catalog.service import Catalog
from serve.orders import carriers
from serve.payments.gateway.webhooks import SIGNATURE_HEADER, sign
from serve.payments.stripe.news import SIGNATURE_HEADER as STRIPE_SIGNATURE
from serve.users.addresses import MOST
from tests.api.shopping import ADDRESS, PASSWORD, Buyer, Json, Staff, body, log_in, new_email, order_form
from tests.unit.everywhere import no_host
from tests.unit.interface import Interface
from tests.unit.whole_shop import SECRET, STRIPE_SECRET, WholeShop
from tests.waiting import eventually

ASYNC = {"Prefer": "respond-async"}
NEEDS_THE_SHOPPER = "pm_card_authenticationRequired"
SLOW = "pm_processing"


def ask_for_everything(shop: WholeShop, interface: Interface) -> None:
    with interface.client() as web, interface.client() as shopper:
        staff = Staff(web, shop.token("operator", "staff"))
        asyncio.run(_draw(shop))
        mug = _products(web, staff)
        _variants(staff, mug)
        ada = _accounts(shopper)
        _own_account(shopper)
        _carts(web, staff, mug)
        _merged_carts(web, staff, ada, mug)
        _orders(web, staff, ada, mug)
        _fulfilment(staff, ada, mug)
        _parcels(web, staff, ada, mug)
        _payments(web, ada, mug)
        _notices(ada)
        for path in ("changes", "payments/transactions", "notifications/suppressed"):
            body(staff.call("GET", f"/api/admin/{path}"))
        body(staff.call("POST", "/api/admin/notifications/suppressed/lift", json={"address": "ada@example.com"}))
        body(web.get("/api/catalog/search", params={"q": "moss"}))


async def _draw(shop: WholeShop) -> None:
    catalog = Catalog(shop.settings.database_url("catalog"), currency=shop.settings.currency)
    try:
        await catalog.put_images([("mug", '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')])
    finally:
        await catalog.close()


def _products(web: httpx.Client, staff: Staff) -> str:
    sku, slug = f"MUG-{secrets.token_hex(4)}", f"mug-{secrets.token_hex(4)}"
    draft = {"name": "Moss mug", "category": "Kitchen/Mugs", "price": 1450, "slug": slug, "image": "mug"}
    for status in (201, 200):
        body(staff.call("PUT", f"/api/admin/products/{sku}", json=draft), status)
    body(staff.call("PUT", f"/api/admin/products/{sku}-2", json=draft), 409)
    staff.change_product(sku, price=1500)
    body(staff.call("PATCH", f"/api/admin/products/{sku}", json={"price": 1450, "version": 9_999}), 409)
    body(staff.call("GET", f"/api/admin/products/{sku}"))
    staff.receive(sku, 100)
    body(staff.call("POST", f"/api/admin/stock/{sku}/corrections", json={"on_hand": 99, "reason": "one broke"}))
    staff.stock(sku)
    body(web.get("/api/catalog/categories"))
    body(web.get("/api/catalog/products"))
    body(web.get("/api/catalog/products", params={"category": "no/such"}), 404)
    body(web.get(f"/api/catalog/products/{slug}"))
    image = web.get("/api/catalog/images/mug.svg")
    assert image.status_code == 200
    assert web.get("/api/catalog/images/mug.svg", headers={"If-None-Match": image.headers["etag"]}).status_code == 304
    body(web.get("/.well-known/jwks.json"))
    return sku


def _variants(staff: Staff, mug: str) -> None:
    path, other = f"/api/admin/products/{mug}-V", f"{mug}-W"
    one = {"sku": f"{mug}-V", "price": 1450, "options": {"colour": "clay"}}
    body(staff.call("PUT", path, json={"name": "Mugs", "category": "Kitchen/Mugs", "variants": [one]}), 201)
    for status in (201, 200):
        body(staff.call("PUT", f"{path}/variants/{other}", json={"price": 1450, "options": {"colour": "ink"}}), status)
    body(staff.call("PUT", f"{path}/variants/{mug}", json={"price": 1450, "options": {"colour": "red"}}), 409)
    assert staff.call("DELETE", f"{path}/variants/{other}").status_code == 204
    body(staff.call("DELETE", f"{path}/variants/{mug}-V"), 409)
    assert staff.call("DELETE", path).status_code == 204
    with no_host():
        body(staff.call("POST", f"/api/admin/stock/{mug}/receipts", json={"quantity": 1}), 503)
        body(staff.call("POST", f"/api/admin/stock/{mug}/corrections", json={"on_hand": 1, "reason": "one"}), 503)


def _own_account(web: httpx.Client) -> None:
    eve, ann = Buyer.registered(web), Buyer.registered(web)
    assert eve.call("POST", "/api/users/email-confirmations").status_code == 202
    addresses = "/api/users/me/addresses"
    made = [body(eve.call("POST", addresses, json=ADDRESS), 201)["id"] for _ in range(MOST)]
    body(eve.call("POST", addresses, json=ADDRESS), 409)
    body(eve.call("PATCH", f"{addresses}/{made[0]}", json={"city": "Bath"}))
    assert eve.call("DELETE", f"{addresses}/{made[0]}").status_code == 204
    for read in ("addresses", "activity", "export", "identities"):
        body(eve.call("GET", f"/api/users/me/{read}"))
    for email, password, status in ((new_email(), "not hers at all", 403), (ann.email, PASSWORD, 409)):
        body(eve.call("PATCH", "/api/users/me/email", json={"email": email, "password": password}), status)
    assert eve.call("PATCH", "/api/users/me/email", json={"email": new_email()}).status_code == 202
    assert web.post("/api/users/password-resets", json={"email": eve.email}).status_code == 202
    log_in(web, eve.email)
    (other,) = [one for one in body(eve.call("GET", "/api/users/sessions"))["items"] if not one["current"]]
    assert eve.call("DELETE", f"/api/users/sessions/{other['id']}").status_code == 204
    body(eve.call("DELETE", "/api/users/me", json={"password": "not hers at all"}), 403)
    assert eve.call("DELETE", "/api/users/me", json={"password": PASSWORD}).status_code == 204


def _accounts(web: httpx.Client) -> Buyer:
    email = new_email()
    registration = {"email": email, "password": PASSWORD, "name": "Ada Byron"}
    body(web.post("/api/users", json=registration), 201)
    body(web.post("/api/users", json=registration), 409)
    session = body(web.post("/api/users/sessions", json={"email": email, "password": PASSWORD}), 201)
    body(web.post("/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]}))
    ada = Buyer(web, session["access_token"], email)
    body(ada.call("GET", "/api/users/me"))
    body(ada.call("PATCH", "/api/users/me", json={"name": "Ada Lovelace"}))
    wrong = {"password": "four dry umbrellas", "current_password": "not hers at all"}
    body(ada.call("PATCH", "/api/users/me", json=wrong), 403)
    for path in ("/api/users/sessions/current", "/api/users/sessions"):
        again = body(web.post("/api/users/sessions", json={"email": email, "password": PASSWORD}), 201)
        assert Buyer(web, again["access_token"]).call("DELETE", path).status_code == 204
    latest = body(web.post("/api/users/sessions", json={"email": email, "password": PASSWORD}), 201)
    return Buyer(web, latest["access_token"], email)


def _carts(web: httpx.Client, staff: Staff, sku: str) -> None:
    guest = Buyer(web)
    (line,) = guest.add(sku, 2)["lines"]
    body(guest.call("PATCH", f"/api/cart/items/{line['id']}", json={"quantity": 3}))
    body(guest.call("DELETE", f"/api/cart/items/{line['id']}"))
    body(guest.call("DELETE", "/api/cart/items"))
    cart = guest.cart()
    items = {"items": [{"sku": sku, "quantity": 5, "agreed_price": 990}]}
    body(staff.call("POST", "/api/admin/carts", json=items), 201)
    body(staff.call("POST", f"/api/admin/carts/{cart['id']}/items", json=items))
    gone = f"GONE-{secrets.token_hex(4)}"
    staff.put_product(gone, 100)
    staff.change_product(gone, status="gone")
    no_more = {"items": [{"sku": gone, "quantity": 1}]}
    body(staff.call("POST", "/api/admin/carts", json=no_more), 409)
    body(staff.call("POST", f"/api/admin/carts/{cart['id']}/items", json=no_more), 409)
    body(guest.call("POST", "/api/cart/items", json={"sku": gone, "quantity": 1}), 409)


def _merged_carts(web: httpx.Client, staff: Staff, ada: Buyer, sku: str) -> None:
    guest = Buyer(web)
    (line,) = guest.add(sku)["lines"]
    body(ada.call("POST", "/api/cart/merge", json={"guest_token": guest.token}))
    bob = Buyer.registered(web)
    body(bob.call("POST", "/api/cart/merge", json={"guest_token": guest.token}), 409)
    body(guest.call("GET", "/api/cart"), 409)
    body(guest.call("PATCH", f"/api/cart/items/{line['id']}", json={"quantity": 3}), 409)
    body(guest.call("DELETE", f"/api/cart/items/{line['id']}"), 409)
    body(guest.call("DELETE", "/api/cart/items"), 409)
    body(ada.call("DELETE", "/api/cart/items"))
    more, other = f"{sku}-3", Buyer(web)
    staff.put_product(more, 100)
    lines = other.add(more)["lines"] and other.add(sku)["lines"]
    body(other.call("POST", "/api/cart/merge", json={"guest_token": guest.token}), 403)
    with no_host():
        body(ada.call("POST", "/api/cart/merge", json={"guest_token": other.token}), 503)
    key = {"Idempotency-Key": "one-key-for-two-lines"}
    for line, status in zip(lines, (200, 422), strict=True):
        body(other.call("DELETE", f"/api/cart/items/{line['id']}", headers=key), status)


def _orders(web: httpx.Client, staff: Staff, ada: Buyer, sku: str) -> None:
    bought = ada.buy(sku)
    body(ada.check_out(), 409)
    assert bought["status"] == "confirmed"
    path = f"/api/orders/{bought['id']}"
    body(ada.call("POST", f"{path}/cancel", headers={"Idempotency-Key": "of two words"}), 400)
    for read in (path, f"{path}/tracking", f"{path}/receipt"):
        body(ada.call("GET", read))
    eventually(lambda: body(ada.call("GET", "/api/orders"))["items"])
    body(staff.call("GET", f"/api/admin/orders/{bought['id']}"))
    body(staff.call("GET", "/api/admin/orders"))
    with ada.web.stream("GET", f"{path}/events", headers={"Authorization": f"Bearer {ada.token}"}) as events:
        assert next(events.iter_lines()).startswith("id: ")
    body(ada.call("POST", f"{path}/payment", json={"method": "card", "reference": "pm_card_visa"}), 409)
    guest = Buyer(web)
    guest.add(sku)
    later = body(guest.check_out(NEEDS_THE_SHOPPER), 201)
    path = f"/api/orders/{later['id']}"
    body(guest.call("GET", f"{path}/receipt"), 409)
    body(staff.call("POST", f"/api/admin/stock/{sku}/corrections", json={"on_hand": 0, "reason": "all gone"}), 409)
    # For as long as the gateway is about it, nobody can say what comes of it.
    body(guest.call("POST", f"{path}/payment", json={"method": "card", "reference": SLOW}, headers=ASYNC), 202)
    body(guest.call("POST", f"{path}/cancel", headers=ASYNC), 202)
    eventually(lambda: guest.order(later["id"])["status"] == "cancelled")
    guest.add(sku)
    body(guest.check_out(SLOW, headers=ASYNC), 202)


def _fulfilment(staff: Staff, ada: Buyer, sku: str) -> None:
    order = ada.buy(sku)
    path = f"/api/admin/orders/{order['id']}"
    parcel = {"carrier": "DHL", "tracking": "JD014600006281230701"}
    body(staff.call("POST", f"{path}/ship", json=parcel), 409)
    body(staff.call("POST", f"{path}/deliver"), 409)
    staff.fulfil(order["id"], "pack")
    body(ada.call("POST", f"/api/orders/{order['id']}/cancel"), 409)
    staff.fulfil(order["id"], "ship", **parcel)
    staff.fulfil(order["id"], "deliver")
    body(staff.refund(order["id"], amount=100))
    unpaid = body(_checked_out(ada, sku, NEEDS_THE_SHOPPER), 201)
    body(staff.refund(unpaid["id"], amount=100), 409)
    body(staff.call("POST", f"/api/admin/orders/{unpaid['id']}/pack"), 409)
    body(ada.call("POST", f"/api/orders/{unpaid['id']}/cancel"))


def _parcels(web: httpx.Client, staff: Staff, ada: Buyer, sku: str) -> None:
    order = ada.buy(sku, 2)
    path, tracking = f"/api/admin/orders/{order['id']}", f"JD{secrets.token_hex(6)}"
    parcel: Json = {"carrier": "DHL", "tracking": tracking, "lines": {sku: 1}}
    body(staff.call("POST", f"{path}/shipments", json=parcel), 409)
    staff.fulfil(order["id"], "pack")
    shipment = body(staff.call("POST", f"{path}/shipments", json=parcel), 201)["shipments"][0]
    body(staff.call("POST", f"{path}/shipments/{shipment['id']}/steps", json={"step": "in_transit"}))
    body(_carrier(web, "unheard-of"), 404)

    eventually(lambda: _carrier(web, tracking).status_code == 204)
    with no_host():
        body(_carrier(web, tracking), 503)
    while (last := _carrier(web, tracking)).status_code == 204:
        """Until there are too many."""
    body(last, 409)
    body(staff.call("POST", f"{path}/shipments/{shipment['id']}/steps", json={"step": "exception"}), 409)
    assert staff.call("POST", f"{path}/access/revoke").status_code == 204
    page = ada.call("GET", f"/api/orders/{order['id']}/receipt.html", headers={"Accept": "text/html"})
    assert page.status_code == 200


def _carrier(web: httpx.Client, tracking: str) -> httpx.Response:
    now = time.time()
    news: Json = {"id": secrets.token_hex(4), "tracking": tracking, "step": "out_for_delivery", "at": int(now * 1_000)}
    content = json.dumps(news).encode()
    headers = {carriers.SIGNATURE_HEADER: sign(SECRET, content, int(now)), "Content-Type": "application/json"}
    return web.post("/api/orders/carriers/dhl/webhooks", content=content, headers=headers)


def _notices(ada: Buyer) -> None:
    notices = eventually(lambda: body(ada.call("GET", "/api/notifications"))["items"])
    assert notices
    body(ada.call("PATCH", f"/api/notifications/{notices[0]['id']}", json={"read": True}))
    with ada.web.stream("GET", "/api/notifications/events", headers={"Authorization": f"Bearer {ada.token}"}) as events:
        assert next(events.iter_lines())


def _checked_out(buyer: Buyer, sku: str, reference: str) -> httpx.Response:
    buyer.add(sku)
    return buyer.call("POST", "/api/orders", json=order_form(reference))


def _payments(web: httpx.Client, ada: Buyer, sku: str) -> None:
    order = body(_checked_out(ada, sku, NEEDS_THE_SHOPPER), 201)
    page = order["next_action"]["url"]
    body(ada.call("GET", f"/api/payments/{order['id']}"))
    for answer, status in (("approve", 303), ("approve", 409), ("decline", 409)):
        assert web.post(f"{page}/{answer}").status_code == status
    assert web.get(page).status_code == 200
    assert web.get(f"/api/payments/{order['id']}/return").status_code == 200
    ada.order_when(order["id"], status="confirmed")
    declined = body(_checked_out(ada, sku, NEEDS_THE_SHOPPER), 201)
    assert web.post(f"{declined['next_action']['url']}/decline").status_code == 303
    ada.order_when(declined["id"], payment_status="failed")
    body(ada.pay(declined["id"]))
    for hook in (_webhook, _stripes_webhook):
        assert hook(web, order["id"]).status_code == 204
        with no_host():
            assert hook(web, order["id"]).status_code == 503


def _webhook(web: httpx.Client, session: str) -> httpx.Response:
    news: Json = {
        "id": f"evt_{secrets.token_hex(4)}",
        "type": "payment_intent.succeeded",
        "created": 1_764_000_000_000,
        "session": session,
        "intent": "pi_of_a_test",
        "status": "succeeded",
    }
    content = json.dumps(news).encode()
    headers = {SIGNATURE_HEADER: sign(SECRET, content, int(time.time())), "Content-Type": "application/json"}
    return web.post("/api/payments/webhooks/test", content=content, headers=headers)


def _stripes_webhook(web: httpx.Client, session: str) -> httpx.Response:
    about = {"id": "pi_of_a_test", "object": "payment_intent", "metadata": {"session": session}}
    news: Json = {"id": f"evt_{secrets.token_hex(4)}", "type": "payment_intent.succeeded", "data": {"object": about}}
    content = json.dumps(news).encode()
    signature = sign(STRIPE_SECRET, content, int(time.time()))
    headers = {STRIPE_SIGNATURE: signature, "Content-Type": "application/json"}
    return web.post("/api/payments/webhooks/stripe", content=content, headers=headers)
