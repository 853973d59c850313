"""The whole interface against its own description: requests that schemathesis makes up from it, and directed ones.

No answer is a 5xx but a documented 503, each is as its operation describes, and each documented status is really seen.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as bounded
from schemathesis.core.result import Ok

from serve.gateway.front import Front
from serve.gateway.lean import Request, Response, Routes, json
from tests.running import free_port
from tests.unit.everything import ask_for_everything
from tests.unit.everywhere import ask_for_problems
from tests.unit.interface import CHECKS, Interface, Operation
from tests.unit.whole_shop import WholeShop, answering, whole_shop


class Told(msgspec.Struct):
    number: int


EXAMPLES = 3
"""Made-up requests for each operation."""

NEVER = "a defect of ours: its form is held by test_problems"
NO_ENTITY = "asks no entity, so nothing is away: its form is held by test_lean"

ONE_REQUEST = "a request without a body cannot differ from another one to the same entity under the same key"

NO_ENTITIES = (
    "/api/catalog",
    "/api/admin/changes",
    "/api/admin/notifications",
    "/api/admin/payments",
    "/api/admin/products",
    "/api/notifications",
    "/test-gateway",
    "/api/users",
    "/.well-known",
)

TOKEN_IGNORED = (
    "a bad token is its route's business, which needs none: what any route may answer is described of it too"
)
ANY_TEXT = "FastAPI describes it of each route with parameters, and any text fits these"
NOT_LIMITED = "keys are read without a limit: what any route may answer is described of it too"
NOT_WALKED = "not reached by this walk; shown by tests/unit/"
MAILED = NOT_WALKED + "test_accounts.py::"
SOCIAL = NOT_WALKED + "test_social_http.py::"
UNUSABLE = SOCIAL + "test_nobody_is_sent_to_a_provider_that_cannot_be_trusted"
OAUTH, IDENTITIES = "/api/users/oauth", "/api/users/me/identities/{provider}"

UNSEEN: dict[tuple[str, int], str] = {
    ("POST /api/admin/orders/{id}/deliver", 422): ONE_REQUEST,
    ("POST /api/admin/orders/{id}/pack", 422): ONE_REQUEST,
    ("POST /api/orders/{id}/cancel", 422): ONE_REQUEST,
    ("DELETE /api/cart/items", 422): ONE_REQUEST,
    ("POST /api/orders/{id}/access/revoke", 409): NOT_WALKED
    + "test_orders_http.py::test_an_adopted_order_is_the_accounts_to_pay_and_the_guests_to_look_at",
    ("GET /api/orders", 503): NO_ENTITY,
    ("GET /api/admin/orders", 503): NO_ENTITY,
    ("GET /api/admin/reports/sales", 503): NO_ENTITY,
    ("GET /api/admin/reports/products", 503): NO_ENTITY,
    ("GET /.well-known/jwks.json", 429): NOT_LIMITED,
    ("POST /api/users/email-confirmations", 409): MAILED + "test_another_confirmation_can_be_asked_for",
    ("POST /api/users/email-confirmations/{token}", 204): MAILED + "test_an_address_is_confirmed_by_the_mailed_link",
    ("POST /api/users/email-confirmations/{token}", 403): MAILED
    + "test_a_link_confirms_only_for_who_knows_the_account",
    ("POST /api/users/email-confirmations/{token}", 409): MAILED + "test_an_address_that_is_somebody_elses_is_not_had",
    ("POST /api/users/password-resets/{token}", 204): MAILED
    + "test_a_password_is_reset_once_by_the_mailed_link_and_all_sessions_end",
    (f"POST {IDENTITIES}", 200): SOCIAL + "test_linking_listing_and_unlinking",
    (f"POST {IDENTITIES}", 502): UNUSABLE,
    (f"DELETE {IDENTITIES}", 204): SOCIAL + "test_linking_listing_and_unlinking",
    (f"DELETE {IDENTITIES}", 409): SOCIAL + "test_the_last_way_in_stays",
    (f"POST {OAUTH}/exchange", 201): SOCIAL + "test_a_page_of_the_shop_gets_a_code_that_is_exchanged_once",
    (f"GET {OAUTH}/{{provider}}", 302): SOCIAL + "test_the_way_there_is_bound_to_the_browser",
    (f"GET {OAUTH}/{{provider}}", 502): UNUSABLE,
    (f"GET {OAUTH}/{{provider}}/callback", 200): SOCIAL + "test_who_is_new_gets_an_account_and_finds_it_again",
    (f"GET {OAUTH}/{{provider}}/callback", 303): SOCIAL + "test_a_page_of_the_shop_gets_a_code_that_is_exchanged_once",
    (f"GET {OAUTH}/{{provider}}/callback", 400): SOCIAL + "test_another_browser_cannot_come_back",
    (f"GET {OAUTH}/{{provider}}/callback", 401): SOCIAL + "test_linking_needs_a_session_that_still_lives",
    (f"GET {OAUTH}/{{provider}}/callback", 422): ANY_TEXT,
    (f"GET {OAUTH}/{{provider}}/callback", 403): SOCIAL + "test_who_says_no_is_not_logged_in",
    (f"GET {OAUTH}/{{provider}}/callback", 409): SOCIAL + "test_no_account_is_taken_over",
    (f"GET {OAUTH}/{{provider}}/callback", 502): SOCIAL + "test_a_wrong_client_secret_is_the_shops_fault",
    ("POST /api/notifications/ses", 204): NOT_WALKED
    + "test_suppressed.py::test_a_permanent_bounce_turns_the_address_off_once",
    ("GET /api/payments/{id}/return", 303): "only with a storefront to go on to, which the shop does not have yet",
}
"""Documented statuses that cannot be had in this process, each with its reason; 500 and 503 are dealt with below."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeShop]:
    # Whoever asks so much must not be slowed down, but limits are on: otherwise no answer could be a 429.
    limits = {"rate_per_minute": 10**9, "rate_burst": 10**9}
    with whole_shop(tmp_path_factory.mktemp("shop"), checkout_wait_seconds=10.0, **limits) as opened:
        yield opened


@pytest.fixture(scope="module")
def interface(shop: WholeShop) -> Interface:
    with shop.client() as web:
        return Interface(shop.url, web.get("/openapi.json").json())


@pytest.mark.timeout(150)
def test_every_documented_status_is_seen_and_no_answer_strays_from_its_description(
    shop: WholeShop, interface: Interface
) -> None:
    staff = shop.token("operator", "staff")
    ask_for_everything(shop, interface)
    ask_for_problems(interface, shop.guest_token("some-cart"), shop.token("somebody"), staff)
    make_up_requests(interface, staff)
    tell(interface)
    assert interface.failures == {}
    unexplained = [one for one in interface.unseen() if not reason(interface, *one)]
    assert unexplained == []


def test_no_exception_is_kept_that_is_none(interface: Interface) -> None:
    documented = {(one.name, status) for one in interface.operations for status in one.statuses}
    assert UNSEEN.keys() <= documented
    for why in UNSEEN.values():
        if why.startswith(NOT_WALKED):
            file, _, test = why.removeprefix(NOT_WALKED).partition("::")
            assert f"def {test}(" in Path(__file__).with_name(file).read_text(), why


def test_what_strays_is_found() -> None:
    routes = Routes()

    def declare(path: str, answer: Response) -> None:
        @routes.get(path, summary="For this test", answers={200: Told})
        async def handler(_: Request) -> Response:
            return answer

    declare("/as-described", json(Told(1)))
    declare("/another-body", json({"number": "one"}))
    declare("/another-status", json(Told(1), 418))
    declare("/a-defect", json(Told(1), 500))
    front, port = Front(FastAPI(), [routes], metrics=False), free_port()
    with answering(front, port):
        interface = Interface(f"http://127.0.0.1:{port}", front.openapi())
        with interface.client() as web:
            for one in interface.operations:
                web.request(one.method, one.path)
    assert interface.failures.keys() == {
        ("GET /another-body", 200),
        ("GET /another-status", 418),
        ("GET /a-defect", 500),
    }
    assert ("GET /as-described", 200) not in interface.unseen()
    assert ("GET /as-described", 401) in interface.unseen()


def reason(interface: Interface, name: str, status: int) -> str:
    """Why a documented status need not be seen; empty: there is no reason."""
    if status == 500:
        return NEVER
    if status == 503 and name.split()[1].startswith(NO_ENTITIES):
        return NO_ENTITY
    (operation,) = [one for one in interface.operations if one.name == name]
    if operation.by_fastapi and status == 401 and "security" not in operation.described:
        return UNSEEN.get((name, status), TOKEN_IGNORED)
    if operation.by_fastapi and status == 422 and not operation.takes_a_body and not operation.parameters("query"):
        return ANY_TEXT
    return UNSEEN.get((name, status), "")


def make_up_requests(interface: Interface, token: str) -> None:
    """Schemathesis' own, the same at each run."""
    headers = {"Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        for found in interface.schema.get_all_operations():
            assert isinstance(found, Ok)
            made_up = found.ok()
            described = interface.document["paths"][made_up.path][made_up.method]
            operation = Operation(made_up.method.upper(), made_up.path, described)
            if not operation.streams:  # whose answers need not end
                _make_up(interface, operation, made_up, session, headers)


def _make_up(
    interface: Interface, operation: Operation, made_up: Any, session: requests.Session, headers: dict[str, str]
) -> None:
    @bounded(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=made_up.as_strategy())
    def ask(case: Any) -> None:
        if made_up.path == "/api/cart" and case.query:
            # A reader waits for a version that it says it has seen, and these never were.
            case.query.pop("version", None)
        answer = case.call(base_url=interface.url, session=session, headers=headers)

        def check() -> None:
            case.validate_response(answer, checks=CHECKS)

        interface.note(operation, answer.status_code, check, f"{case.as_curl_command()}\n{answer.text}")

    ask()


def tell(interface: Interface) -> None:
    """Writes what was seen and what was not into the file that SEEN_STATUSES names, for whoever wants to read it."""
    place = os.environ.get("SEEN_STATUSES")
    if not place:
        return
    lines = [f"{one.name}: seen {sorted(interface.seen[one.name])}" for one in interface.operations]
    lines += [f"not seen: {name} {status}: {reason(interface, name, status)}" for name, status in interface.unseen()]
    lines += [f"{status}: {count} operations" for status, count in sorted(_counted(interface).items())]
    Path(place).write_text("\n".join(lines) + "\n")


def _counted(interface: Interface) -> Counter[int]:
    return Counter(status for statuses in interface.seen.values() for status in statuses)
