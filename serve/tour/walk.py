"""The way of one shopper through a shop, from registering to the receipt, over HTTP and nothing else."""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from serve.tour.caller import Called, Caller, CallFailed, new_key
from serve.tour.looking import Looking, Stop
from serve.tour.trail import Trail

Json = dict[str, Any]

CONFIRM = "/api/users/email-confirmations/{token}"
SEARCH = "/api/catalog/search"
ADDRESS = {
    "name": "Ada Byron",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
ASKS_THE_SHOPPER = "pm_card_authenticationRequired"
"""The test gateway's card for which a 3-D Secure page asks."""
MAIL_SECONDS = 30.0
ORDER_SECONDS = 30.0
LOOK_EVERY = 0.1


class Walk:
    """`staff`: makes an access token of somebody of the staff. `shipping`: one of the shop's ways to ship."""

    def __init__(self, caller: Caller, trail: Trail, staff: Callable[[], str], shipping: str) -> None:
        self._caller = caller
        self._trail = trail
        self._staff = staff
        self._shipping = shipping
        self._looking = Looking(trail)
        self._calls: list[Called] = []
        self._skus: list[str] = []
        self._token = ""
        self._user = ""
        self._email = f"tour-{secrets.token_hex(6)}@example.com"
        self._password = secrets.token_urlsafe(16)

    def stops(self) -> Iterator[Stop]:
        """One after the other, each as soon as it is quiet. Raises CallFailed."""
        yield self._stop("Register", self._register())
        if self._caller.offers("POST", CONFIRM):
            yield self._stop("Confirm the address by the mailed link", self._confirm())
        yield self._stop("Log in", self._log_in())
        product = self._some_product()
        yield self._stop(*self._find(product))
        yield self._stop("Look at the product", self._look_at(product))
        yield self._stop("Put it in the cart", self._add(product))
        cart = self._ask("GET", "/api/cart").json
        yield self._stop("Review the cart", _of_cart(cart))
        order = self._check_out(cart)
        yield self._stop("Check out", _of_order(order))
        order = self._pay(order)
        yield self._stop("Pay, and answer the card issuer's question", _of_order(order))
        order = self._confirmation(order)
        yield self._stop("Read the confirmation", _of_order(order))
        yield self._stop("The staff pack and ship", self._ship(order))
        yield self._stop("Track the parcel", self._track(order))
        yield self._stop("Read the receipt", self._receipt(order))
        self._ask("DELETE", "/api/users/sessions/current")
        yield self._stop("Log out", "")

    def _stop(self, title: str, says: str) -> Stop:
        calls, self._calls = self._calls, []
        skus, self._skus = self._skus, []
        return self._looking.stop(title, calls, self._user, says, skus)

    def _ask(self, method: str, path: str, *, keyed: bool = False, token: str | None = None, **sent: Any) -> Called:
        bearer = self._token if token is None else token
        key = new_key() if keyed else ""
        if keyed:
            # Before it is sent: its record may be there before the answer is.
            self._looking.causes.expect(self._caller.command_of(method, path, bearer, key))
        called = self._caller.call(method, path, bearer, key, **sent)
        self._calls.append(called)
        return called

    # One stop each; what they answer is what the shopper sees

    def _register(self) -> str:
        person = {"email": self._email, "password": self._password, "name": ADDRESS["name"]}
        self._user = self._ask("POST", "/api/users", keyed=True, json=person).json["id"]
        return f"account {self._user}"

    def _confirm(self) -> str:
        file, token = self._wait(self._link, MAIL_SECONDS, "no mail with a link came")
        self._ask("POST", CONFIRM.format(token=token), keyed=True, json={"password": self._password})
        return f"the link of {file}"

    def _link(self) -> tuple[str, str] | None:
        """What stands last in the first link of a mail to the shopper."""
        for path, mail in self._trail.letters():
            text = mail.get_body(("plain",))
            link = re.search(r"https?://\S+/links/(\S+)", "" if text is None else text.get_content())
            if self._email in str(mail["To"]) and link is not None:
                return path.name, link[1]
        return None

    def _log_in(self) -> str:
        form = {"email": self._email, "password": self._password}
        session = self._ask("POST", "/api/users/sessions", json=form).json
        self._token = session["access_token"]
        return f"access for {session['expires_in']} s"

    def _some_product(self) -> Json:
        listed: list[Json] = self._ask("GET", "/api/catalog/products", params={"limit": 100}).json["items"]
        there = [one for one in listed if one.get("available") is None or one["available"] > 1]
        if not there:
            raise CallFailed("The shop has nothing to sell.")
        return secrets.choice(there)

    def _find(self, product: Json) -> tuple[str, str]:
        if not self._caller.offers("GET", SEARCH):
            category = product["category"]
            found = self._ask("GET", "/api/catalog/products", params={"category": category}).json["items"]
            return "Browse the category", f"{len(found)} products in {category}"
        word = max(re.findall(r"\w+", product["name"]), key=len)
        found = self._ask("GET", SEARCH, params={"q": word}).json["items"]
        self._skus = [one["sku"] for one in found]
        return "Search", f"{len(found)} products for “{word}”"

    def _look_at(self, product: Json) -> str:
        page: Json = self._ask("GET", f"/api/catalog/products/{product['slug']}").json
        if page.get("image"):
            self._ask("GET", page["image"])
        return str(page["name"])

    def _add(self, product: Json) -> str:
        cart = self._ask("POST", "/api/cart/items", keyed=True, json={"sku": product["sku"], "quantity": 2}).json
        return _of_cart(cart)

    def _check_out(self, cart: Json) -> Json:
        form = {
            "address": ADDRESS,
            "shipping_method": self._shipping,
            "payment": {"method": "card", "reference": ASKS_THE_SHOPPER},
            "expected_total": cart["totals"]["total"],
        }
        order: Json = self._ask("POST", "/api/orders", keyed=True, json=form).json
        return order if order["next_action"] else self._order_when(order["id"], lambda now: bool(now["next_action"]))

    def _pay(self, order: Json) -> Json:
        page = httpx.URL(order["next_action"]["url"]).path
        self._ask("GET", page, token="")
        approved = self._ask("POST", f"{page}/approve", token="")
        self._ask("GET", httpx.URL(approved.answer.headers["location"]).path, token="")
        return self._order_when(order["id"], lambda now: now["status"] == "confirmed")

    def _confirmation(self, order: Json) -> Json:
        found: Json = self._ask("GET", f"/api/orders/{order['id']}").json
        self._ask("GET", "/api/notifications")
        return found

    def _ship(self, order: Json) -> str:
        path, staff = f"/api/admin/orders/{order['id']}", self._staff()
        self._ask("POST", f"{path}/pack", keyed=True, token=staff)
        parcel = {"carrier": "DHL", "tracking": f"JD{secrets.randbelow(10**18):018d}"}
        return _of_order(self._ask("POST", f"{path}/ship", keyed=True, token=staff, json=parcel).json)

    def _track(self, order: Json) -> str:
        found = self._ask("GET", f"/api/orders/{order['id']}/tracking").json
        parcels = ", ".join(f"{one['carrier']} {one['tracking']}" for one in found["shipments"])
        return f"{found['status']}: {parcels}"

    def _receipt(self, order: Json) -> str:
        found = self._ask("GET", f"/api/orders/{order['id']}/receipt").json
        return f"receipt of order {found.get('order_id', order['id'])}"

    def _order_when(self, order_id: str, wanted: Callable[[Json], bool]) -> Json:
        """Asks until it is so; only the last of these calls counts as one of the tour."""

        def found() -> Json | None:
            called = self._caller.call("GET", f"/api/orders/{order_id}", self._token)
            if not wanted(called.json):
                return None
            self._calls.append(called)
            now: Json = called.json
            return now

        order: Json = self._wait(found, ORDER_SECONDS, f"order {order_id} did not go on")
        return order

    @staticmethod
    def _wait(look: Callable[[], Any], seconds: float, otherwise: str) -> Any:
        until = time.monotonic() + seconds
        while (found := look()) is None:
            if time.monotonic() > until:
                raise CallFailed(f"Within {seconds:.0f} s {otherwise}.")
            time.sleep(LOOK_EVERY)
        return found


def _of_cart(cart: Json) -> str:
    lines = ", ".join(f"{line['quantity']} × {line['name']}" for line in cart["lines"])
    return f"{lines}; {cart['totals']['total']} {cart['currency']} in minor units, of it {cart['totals']['tax']} tax"


def _of_order(order: Json) -> str:
    return f"order {order['id']}: {order['status']}, payment {order['payment_status']}"
