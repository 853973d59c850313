"""What happens in one service shows in another: made over HTTP here, seen over HTTP there, and nothing between.

`docs/testing.md` has the whole list, also of what other files test; mails are seen as they lie in their folder.
"""

import asyncio
import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import pytest

from pipelines import erase_people
from serve.gateway.clock import now_ms
from serve.orders import carriers
from serve.payments.gateway.webhooks import sign
from serve.users.social.providers import provider_of
from tests.api.shopping import PASSWORD, Buyer, Json, Staff, body, log_in, new_email
from tests.unit.everything import ASYNC, NEEDS_THE_SHOPPER, SLOW
from tests.unit.fake_provider import CLIENT_ID, CLIENT_SECRET, ISSUER, FakeProvider
from tests.unit.whole_shop import SECRET, Across, WholeShop, whole_shop
from tests.waiting import eventually

SOCIAL = {
    "name": "google",
    "kind": "oidc",
    "issuer": ISSUER,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}
NEW_PASSWORD = "four dry umbrellas"


class World(NamedTuple):
    web: httpx.Client
    staff: Staff
    mails: Path
    provider: FakeProvider

    def product(self, units: int = 10, name: str = "A thing", price: int = 1000) -> str:
        sku = f"B-{secrets.token_hex(5)}"
        self.staff.put_product(sku, price, name=name)
        if units:
            self.staff.receive(sku, units)
        return sku

    def guest(self) -> Buyer:
        return Buyer(self.web)

    def user(self) -> Buyer:
        return Buyer.registered(self.web)

    def bought(self, buyer: Buyer, reference: str = "pm_card_visa", **more: object) -> str:
        """The id of a new order of one unit of a new product, 1000 and 495 for its way."""
        return str(buyer.buy(self.product(), 1, reference, **more)["id"])

    def written(self) -> Iterator[bytes]:
        """All mails that there are; one that is erased just now is not there."""
        for path in self.mails.glob("*.eml"):
            with suppress(FileNotFoundError):
                yield path.read_bytes()

    def mailed(self, address: str, about: str) -> EmailMessage:
        """The mail to `address` with `about` in its subject, once it lies there."""

        def found() -> EmailMessage | None:
            for written in self.written():
                mail = message_from_bytes(written, policy=policy.default)
                assert isinstance(mail, EmailMessage)
                if address in str(mail["To"]) and about in str(mail["Subject"]):
                    return mail
            return None

        mail = eventually(found, 10.0)
        assert mail is not None
        return mail

    def link(self, address: str, about: str) -> str:
        part = self.mailed(address, about).get_body(("plain",))
        assert part is not None
        found = re.search(r"http://\S+/api/users/links/\S+", str(part.get_content()))
        assert found is not None
        return found[0]

    def transactions(self, order_id: str) -> list[tuple[str, int, int, str]]:
        """Kind, attempt, amount and detail of each."""
        page = body(self.staff.call("GET", f"/api/admin/payments/{order_id}/transactions"))
        return [(one["kind"], one["attempt"], one["amount"], one["detail"]) for one in page["items"]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    provider = FakeProvider(now_ms)

    def near(config: object, callback: str) -> object:
        return provider_of(config, callback, provider.transport)  # type: ignore[arg-type]

    given = {"checkout_wait_seconds": 10.0, "rate_limits": False, "social": json.dumps([SOCIAL])}
    with (
        patch.object(erase_people, "SETTLE_MS", 100),  # three seconds, of which nothing here depends
        patch("serve.composing.provider_of", near),
        whole_shop(tmp_path_factory.mktemp("shop"), **given) as shop,
        shop.client() as web,
    ):
        yield World(web, Staff(web, _staff_token(shop)), shop.settings.mails, provider)


def _staff_token(shop: WholeShop) -> str:
    return shop.token("operator", "staff")


# Orders -> payments, and back


def test_a_placed_order_has_its_payment_opened(world: World) -> None:
    guest = world.guest()
    order_id = world.bought(guest, NEEDS_THE_SHOPPER)
    payment = body(guest.call("GET", f"/api/payments/{order_id}"))
    assert (payment["amount"], payment["currency"], payment["status"]) == (1495, "GBP", "running")

    guest.add(world.product())
    cash = body(guest.check_out("", "cash_on_delivery"), 201)
    assert guest.call("GET", f"/api/payments/{cash['id']}").status_code == 404


def test_an_order_is_told_of_a_payment_under_way(world: World) -> None:
    guest = world.guest()
    guest.add(world.product())
    order = body(guest.check_out(SLOW, headers=ASYNC), 202)
    guest.order_when(order["id"], payment_status="processing")


# Orders, of which the stock is a part -> catalogue


def catalogue_shows(world: World, sku: str, units: int) -> None:
    """On the product's page and in what is found."""
    slug = body(world.staff.call("GET", f"/api/admin/products/{sku}"))["slug"]
    eventually(lambda: body(world.web.get(f"/api/catalog/products/{slug}"))["available"] == units, 10.0)
    eventually(lambda: found(world, sku) == [units > 0], 10.0)


def found(world: World, sku: str) -> list[bool]:
    """Whether it is said to be available, if a search for it finds it."""
    page = body(world.web.get("/api/catalog/search", params={"q": sku}))
    # Others are found as well that are spelt alike.
    return [one["available"] for one in page["items"] if one["sku"] == sku]


def named_after_itself(world: World, units: int) -> str:
    sku = world.product(units)
    world.staff.change_product(sku, name=sku)
    return sku


def test_stock_that_comes_in_shows_in_the_catalogue(world: World) -> None:
    sku = named_after_itself(world, 0)
    eventually(lambda: found(world, sku) == [False], 10.0)
    world.staff.receive(sku, 3)
    catalogue_shows(world, sku, 3)


def test_stock_that_was_counted_shows_in_the_catalogue(world: World) -> None:
    sku = named_after_itself(world, 3)
    catalogue_shows(world, sku, 3)
    counted = {"on_hand": 0, "reason": "the shelf is empty"}
    body(world.staff.call("POST", f"/api/admin/stock/{sku}/corrections", json=counted))
    catalogue_shows(world, sku, 0)


def test_units_that_an_order_holds_and_lets_go_show_in_the_catalogue(world: World) -> None:
    sku, guest = named_after_itself(world, 2), world.guest()
    order = guest.buy(sku, 2, NEEDS_THE_SHOPPER)
    catalogue_shows(world, sku, 0)
    guest.cancel(order["id"])
    catalogue_shows(world, sku, 2)


def test_units_that_come_back_show_in_the_catalogue(world: World) -> None:
    sku, guest = named_after_itself(world, 1), world.guest()
    order = guest.buy(sku)
    catalogue_shows(world, sku, 0)
    body(world.staff.refund(order["id"], lines={sku: 1}))
    catalogue_shows(world, sku, 1)


# Catalogue -> carts, and its own search


def test_a_price_that_changes_reaches_carts(world: World) -> None:
    sku, guest = world.product(), world.guest()
    guest.add(sku)
    world.staff.change_product(sku, price=900)

    def prices() -> list[tuple[int, int | None]]:
        return [(line["unit_price"], line["changed_from"]) for line in guest.cart()["lines"]]

    eventually(lambda: prices() == [(900, 1000)], 10.0)


def test_a_product_that_is_removed_is_gone_from_carts_and_not_found(world: World) -> None:
    sku, guest = named_after_itself(world, 1), world.guest()
    assert [line["gone"] for line in guest.add(sku)["lines"]] == [False]
    eventually(lambda: found(world, sku) == [True], 10.0)
    assert world.staff.call("DELETE", f"/api/admin/products/{sku}").status_code == 204
    eventually(lambda: [line["gone"] for line in guest.cart()["lines"]] == [True], 10.0)
    eventually(lambda: found(world, sku) == [], 10.0)


# Orders -> the list of orders


def listed(buyer: Buyer, order_id: str, status: str, payment_status: str) -> None:
    def shown() -> list[tuple[str, str]]:
        items = body(buyer.call("GET", "/api/orders"))["items"]
        return [(one["status"], one["payment_status"]) for one in items if one["id"] == order_id]

    eventually(lambda: shown() == [(status, payment_status)], 10.0)


def test_an_order_is_listed_as_it_is_from_its_opening_to_a_refund(world: World) -> None:
    sku, guest = world.product(), world.guest()
    order = guest.buy(sku, 1, NEEDS_THE_SHOPPER)
    listed(guest, order["id"], "reserved", "action_required")
    (item,) = body(world.staff.call("GET", "/api/admin/orders", params={"q": sku}))["items"]
    assert (item["id"], item["total"], item["currency"]) == (order["id"], 1495, "GBP")
    assert world.web.post(f"{order['next_action']['url']}/approve").status_code == 303
    listed(guest, order["id"], "confirmed", "paid")
    tracking = f"JD{secrets.token_hex(6)}"
    for step, more in (("pack", {}), ("ship", {"carrier": "DHL", "tracking": tracking}), ("deliver", {})):
        status = world.staff.fulfil(order["id"], step, **more)["status"]
        listed(guest, order["id"], status, "paid")
    # A carrier knows a parcel by its number only, and the list knows whose that is.
    assert carrier_tells(world.web, tracking).status_code == 204
    body(world.staff.refund(order["id"], amount=5))
    listed(guest, order["id"], "delivered", "partially_refunded")


def test_what_was_sold_is_reported(world: World) -> None:
    """A sale, one that was cancelled after it, and one of which something went back."""
    sku, buyer = world.product(units=10), world.guest()
    before = of_today(world)
    orders = [buyer.buy(sku, 2)["id"] for _ in range(3)]
    buyer.cancel(orders[0])
    body(world.staff.refund(orders[1], amount=300))
    sold = {"orders": 2, "cancelled": 1, "units": 4, "total": 2 * 2495, "refunded": 300}
    eventually(lambda: {name: of_today(world)[name] - before[name] for name in sold} == sold, 10.0)
    products = body(world.staff.call("GET", "/api/admin/reports/products", params={"limit": 1000}))["items"]
    assert [(one["orders"], one["units"], one["amount"]) for one in products if one["sku"] == sku] == [(2, 4, 4000)]
    wrong = world.staff.call("GET", "/api/admin/reports/sales", params={"from": 2, "to": 1})
    assert body(wrong, 400)["code"] == "bad_period"


def of_today(world: World) -> Counter[str]:
    """The sums of the days that the test may run on."""
    found = body(world.staff.call("GET", "/api/admin/reports/sales"))["items"]
    return sum((Counter({k: v for k, v in one.items() if isinstance(v, int)}) for one in found), Counter())


def carrier_tells(web: httpx.Client, tracking: str) -> httpx.Response:
    now = time.time()
    news = {"id": secrets.token_hex(4), "tracking": tracking, "step": "in_transit", "at": int(now * 1_000)}
    content = json.dumps(news).encode()
    headers = {carriers.SIGNATURE_HEADER: sign(SECRET, content, int(now)), "Content-Type": "application/json"}
    return web.post("/api/orders/carriers/dhl/webhooks", content=content, headers=headers)


def test_an_order_is_listed_whose_payment_is_tried_again(world: World) -> None:
    guest = world.guest()
    order_id = world.bought(guest, "pm_card_chargeDeclined")
    listed(guest, order_id, "reserved", "failed")
    payment = {"method": "card", "reference": "pm_card_visa"}
    with silent_gateway():
        assert guest.call("POST", f"/api/orders/{order_id}/payment", json=payment, headers=ASYNC).status_code == 202
        listed(guest, order_id, "reserved", "pending")
    listed(guest, order_id, "confirmed", "paid")


@contextmanager
def silent_gateway() -> Iterator[None]:
    """What it is asked meanwhile it answers afterwards."""
    goes_on, answer = threading.Event(), Across.carry_out

    async def later(desk: Across, calls: Any) -> Any:
        await asyncio.to_thread(goes_on.wait, 10.0)
        return await answer(desk, calls)

    with patch.object(Across, "carry_out", later):
        try:
            yield
        finally:
            goes_on.set()


def test_orders_that_come_to_nothing_are_listed(world: World) -> None:
    guest = world.guest()
    order_id = world.bought(guest, NEEDS_THE_SHOPPER)
    guest.cancel(order_id)
    listed(guest, order_id, "cancelled", "none")
    guest.call("DELETE", "/api/cart/items")
    guest.add(world.product(units=1), 2)
    refused = body(guest.check_out(), 409)
    listed(guest, refused["about"]["order_id"], "rejected", "none")


# Orders -> notifications (the others are in tests/api/test_mails.py)


def test_who_gets_nothing_is_told(world: World) -> None:
    guest, email = world.guest(), new_email()
    guest.add(world.product(units=1), 2)
    assert body(guest.check_out(email=email), 409)["code"] == "out_of_stock"
    world.mailed(email, "could not be accepted")


# Orders -> users


def test_a_confirmed_order_is_counted_and_shown_to_its_customer(world: World) -> None:
    ada = world.user()
    order_id = world.bought(ada, email=None)
    counted(ada, order_id)
    assert {"what": "order_confirmed", "about": {"order": order_id}} in activity(ada)


def counted(buyer: Buyer, order_id: str) -> None:
    """The one order that the profile tells of."""
    me = eventually(lambda: (one := body(buyer.call("GET", "/api/users/me")))["order_count"] and one, 10.0)
    assert (me["order_count"], me["last_order"]["id"]) == (1, order_id)


def activity(buyer: Buyer) -> list[Json]:
    items = body(buyer.call("GET", "/api/users/me/activity"))["items"]
    return [{"what": one["what"], "about": one["about"]} for one in items]


# Users -> orders


def users_have_heard_of_all_orders(world: World) -> None:
    """So that no order's own confirmation, coming late, finds the account already."""
    bob = world.user()
    counted(bob, world.bought(bob, email=None))


def test_guests_orders_join_the_account_whose_address_is_confirmed(world: World) -> None:
    ada = world.user()
    order_id = world.bought(world.guest(), email=ada.email)
    users_have_heard_of_all_orders(world)
    assert ada.call("GET", f"/api/orders/{order_id}").status_code == 404
    assert world.web.post(world.link(ada.email, "confirm your email"), data={"password": PASSWORD}).status_code == 200
    eventually(lambda: ada.call("GET", f"/api/orders/{order_id}").status_code == 200, 10.0)
    listed(ada, order_id, "confirmed", "paid")
    counted(ada, order_id)


def test_guests_orders_join_the_account_that_a_provider_confirms(world: World) -> None:
    world.provider.person = {**world.provider.person, "email": new_email(), "email_verified": True}
    order_id = world.bought(world.guest(), email=world.provider.person["email"])
    users_have_heard_of_all_orders(world)
    with httpx.Client(base_url=world.web.base_url, timeout=30.0) as browser:
        page = browser.get("/api/users/oauth/google").headers["location"]
        came = browser.get("/api/users/oauth/google/callback", params=world.provider.consent(page))
    ada = Buyer(world.web, body(came)["access_token"])
    eventually(lambda: ada.call("GET", f"/api/orders/{order_id}").status_code == 200, 10.0)


# Users -> orders and notifications


def test_a_deleted_person_is_forgotten_by_orders_and_mails(world: World) -> None:
    ada = world.user()
    order_id = world.bought(ada, email=None)
    path = f"/api/admin/orders/{order_id}"
    assert body(world.staff.call("GET", path))["contact"]["address"]["name"] == "Ada Byron"
    world.mailed(ada.email, "is confirmed")
    assert ada.call("DELETE", "/api/users/me", json={"password": PASSWORD}).status_code == 204
    eventually(lambda: body(world.staff.call("GET", path))["contact"] is None, 10.0)
    eventually(lambda: not any(ada.email.encode() in mail for mail in world.written()), 10.0)


# Users -> notifications, and the activity page


def shown(buyer: Buyer, what: str, **about: object) -> None:
    eventually(lambda: {"what": what, "about": about} in activity(buyer), 10.0)


def test_a_registration_and_changes_are_shown(world: World) -> None:
    ada = world.user()
    shown(ada, "registered", by="email")
    body(ada.call("PATCH", "/api/users/me", json={"name": "Ada Lovelace"}))
    shown(ada, "profile_changed", fields=["name"])


def test_an_address_is_asked_to_be_confirmed_and_that_it_was_is_shown(world: World) -> None:
    ada = world.user()
    assert world.web.post(world.link(ada.email, "confirm your email"), data={"password": PASSWORD}).status_code == 200
    shown(ada, "email_confirmed")


def test_a_log_in_from_elsewhere_is_told_and_shown(world: World) -> None:
    ada = world.user()
    with httpx.Client(base_url=world.web.base_url, headers={"User-Agent": "Firefox on Windows"}) as other:
        log_in(other, ada.email)
    world.mailed(ada.email, "new sign-in")

    def known_devices() -> list[bool]:
        """Of each log-in, the newest first."""
        return [one["about"]["known_device"] for one in activity(ada) if one["what"] == "logged_in"]

    eventually(lambda: known_devices() == [False, True], 10.0)


def test_a_password_is_reset_by_mail_and_that_it_was_is_told_and_shown(world: World) -> None:
    ada = world.user()
    assert world.web.post("/api/users/password-resets", json={"email": ada.email}).status_code == 202
    link = world.link(ada.email, "Set a new password")
    assert world.web.post(link, data={"password": NEW_PASSWORD}).status_code == 200
    world.mailed(ada.email, "password of your account was changed")
    again = {"email": ada.email, "password": NEW_PASSWORD}
    session = body(world.web.post("/api/users/sessions", json=again), 201)
    shown(Buyer(world.web, session["access_token"]), "password_changed", by_reset=True)


def test_the_old_address_is_told_of_the_new_one_and_it_is_shown(world: World) -> None:
    ada, email = world.user(), new_email()
    change = {"email": email, "password": PASSWORD}
    assert ada.call("PATCH", "/api/users/me/email", json=change).status_code == 202
    assert world.web.post(world.link(email, "confirm"), data={"password": PASSWORD}).status_code == 200
    world.mailed(ada.email, "email address of your account was changed")
    shown(ada, "email_changed")


# Payments -> their transactions


def test_each_thing_that_happens_to_a_payment_is_a_transaction(world: World) -> None:
    guest = world.guest()
    order = guest.buy(world.product(), 1, NEEDS_THE_SHOPPER)
    order_id = order["id"]
    assert world.web.post(f"{order['next_action']['url']}/decline").status_code == 303
    guest.order_when(order_id, payment_status="failed")
    body(guest.pay(order_id, "pm_card_refundFail"))
    first = refunded(world, guest, order_id, "failed")
    second = refunded(world, guest, order_id, "refunded")
    wanted = [
        ("attempt", 1, 1495, ""),
        ("action_required", 1, 1495, "three_d_secure"),
        ("decline", 1, 1495, "authentication_failed"),
        ("attempt", 2, 1495, ""),
        ("capture", 2, 1495, "visa 5126"),
        ("refund_failed", 2, 400, f"{first} expired_or_canceled_card"),
        ("refund", 2, 400, second),
    ]
    # The webhook comes when it comes.
    eventually(lambda: [one for one in world.transactions(order_id) if one[0] != "webhook"] == wanted, 10.0)
    eventually(lambda: "webhook" in [one[0] for one in world.transactions(order_id)], 10.0)
    page = body(world.staff.call("GET", f"/api/admin/payments/{order_id}/transactions"))
    # The gateway's name for it is known from its first answer on.
    first_name, *names = [one["reference"] for one in page["items"]]
    assert (first_name, len(set(names))) == ("", 1)
    assert names[0].startswith("pi_")


def refunded(world: World, guest: Buyer, order_id: str, status: str) -> str:
    """The id of a refund of 400 that came to `status`."""
    body(world.staff.refund(order_id, amount=400))
    eventually(lambda: guest.order(order_id)["refunds"][-1]["status"] == status, 10.0)
    return str(guest.order(order_id)["refunds"][-1]["id"])


def test_cash_and_a_payment_called_off_are_transactions(world: World) -> None:
    guest = world.guest()
    guest.add(world.product())
    cash = body(guest.check_out("", "cash_on_delivery"), 201)["id"]
    for step, more in (("pack", {}), ("ship", {"carrier": "DHL", "tracking": "JD01"}), ("deliver", {})):
        world.staff.fulfil(cash, step, **more)
    eventually(lambda: world.transactions(cash) == [("capture", 0, 1495, "")], 10.0)
    order_id = world.bought(guest, NEEDS_THE_SHOPPER)
    guest.cancel(order_id)
    eventually(lambda: ("cancellation", 1, 1495, "customer") in world.transactions(order_id), 10.0)
