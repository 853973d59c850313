"""Accounts and sessions over HTTP."""

import httpx
import jwt

from tests.api.conftest import MakeProduct
from tests.api.shopping import PASSWORD, Buyer, bearer, body, log_in, new_email, problem


def test_a_shopper_registers_and_logs_in(web: httpx.Client) -> None:
    email = new_email()
    made = body(web.post("/api/users", json={"email": email, "password": PASSWORD, "name": "Ada Byron"}), 201)
    assert (made["email"], made["name"], made["roles"]) == (email, "Ada Byron", [])

    session = log_in(web, email.upper())

    assert session["token_type"] == "Bearer"
    assert session["expires_in"] == 300
    assert session["user"] == made
    profile = body(web.get("/api/users/me", headers=bearer(session["access_token"])))
    assert made.items() <= profile.items()
    assert (profile["order_count"], profile["last_order"], profile["email_confirmed"]) == (0, None, False)


def test_an_access_token_can_be_checked_with_the_published_keys(web: httpx.Client, user: Buyer) -> None:
    keys = jwt.PyJWKSet.from_dict(body(web.get("/.well-known/jwks.json")))
    kid = jwt.get_unverified_header(user.token)["kid"]

    claims = jwt.decode(user.token, keys[kid].key, algorithms=["RS256"], issuer="troupe")

    assert claims["roles"] == []
    assert claims["sub"] == body(user.call("GET", "/api/users/me"))["id"]


def test_an_address_has_one_account(web: httpx.Client, user: Buyer) -> None:
    again = {"email": user.email, "password": PASSWORD, "name": "Somebody Else"}
    problem(web.post("/api/users", json=again), 409, "email_taken")


def test_a_registration_under_one_key_is_one(web: httpx.Client) -> None:
    form = {"email": new_email(), "password": PASSWORD, "name": "Ada Byron"}
    key = {"Idempotency-Key": new_email()}
    first = body(web.post("/api/users", json=form, headers=key), 201)
    assert body(web.post("/api/users", json=form, headers=key), 201) == first


def test_a_password_that_anyone_would_try_is_refused(web: httpx.Client) -> None:
    form = {"email": new_email(), "password": "password123", "name": "Ada Byron"}
    problem(web.post("/api/users", json=form), 422, "weak_password")


def test_a_wrong_password_and_an_unknown_address_look_the_same(web: httpx.Client, user: Buyer) -> None:
    answers = [
        problem(
            web.post("/api/users/sessions", json={"email": email, "password": "no such words"}),
            401,
            "wrong_credentials",
        )
        for email in (user.email, new_email())
    ]
    assert answers[0]["detail"] == answers[1]["detail"]


def test_refresh_tokens_rotate_and_one_that_comes_back_later_ends_the_session(web: httpx.Client, user: Buyer) -> None:
    def refreshed(token: str) -> httpx.Response:
        return web.post("/api/users/sessions/refresh", json={"refresh_token": token})

    first = log_in(web, user.email)["refresh_token"]
    second = body(refreshed(first))["refresh_token"]
    session = body(refreshed(second))
    third = session["refresh_token"]
    assert len({first, second, third}) == 3
    assert body(web.get("/api/users/me", headers=bearer(session["access_token"])))["email"] == user.email

    # Two exchanges ago: whoever has it is not the one who made those.
    problem(refreshed(first), 401, "invalid_token")
    problem(refreshed(third), 401, "invalid_token")


def test_logging_out_ends_the_session(web: httpx.Client, user: Buyer) -> None:
    session = log_in(web, user.email)
    assert web.delete("/api/users/sessions/current", headers=bearer(session["access_token"])).status_code == 204
    problem(
        web.post("/api/users/sessions/refresh", json={"refresh_token": session["refresh_token"]}), 401, "invalid_token"
    )


def test_the_profile_can_be_changed(user: Buyer) -> None:
    assert body(user.call("PATCH", "/api/users/me", json={"name": "Ada Lovelace"}))["name"] == "Ada Lovelace"
    assert body(user.call("GET", "/api/users/me"))["name"] == "Ada Lovelace"
    wanted = {"password": "seven dry umbrellas", "current_password": "not this one"}
    problem(user.call("PATCH", "/api/users/me", json=wanted), 403, "wrong_credentials")


def test_a_guest_gets_a_token_of_their_own(web: httpx.Client, product: MakeProduct) -> None:
    sku = product()
    answers = [web.post("/api/cart/items", json={"sku": sku, "quantity": 1}) for _ in range(2)]
    carts = [body(answer) for answer in answers]

    for answer, cart in zip(answers, carts, strict=True):
        assert answer.headers["x-guest-token"] == cart["guest_token"]
    assert carts[0]["id"] != carts[1]["id"]
    for cart in carts:
        seen = body(web.get("/api/cart", headers=bearer(cart["guest_token"])))
        assert seen["id"] == cart["id"]
        assert "guest_token" not in seen


def test_a_guest_is_no_user(guest: Buyer, product: MakeProduct) -> None:
    guest.add(product())
    problem(guest.call("GET", "/api/users/me"), 403, "forbidden")
    problem(guest.call("GET", "/api/admin/orders"), 403, "forbidden")


def test_a_user_is_no_staff(user: Buyer, product: MakeProduct) -> None:
    sku = product()
    problem(user.call("PATCH", f"/api/admin/products/{sku}", json={"price": 1}), 403, "forbidden")
    problem(user.call("POST", f"/api/admin/stock/{sku}/receipts", json={"quantity": 1}), 403, "forbidden")


def test_without_a_token_there_is_no_profile(web: httpx.Client) -> None:
    answer = web.get("/api/users/me")
    problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
