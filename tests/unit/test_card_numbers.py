"""What passes for a card's number is found, and what people ordinarily send is not."""

import json
import time
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.gateway.card_numbers import MASK, in_body, in_text, masked
from serve.gateway.lean import LARGEST_SEARCHED, Request, Response, Routes
from serve.gateway.logs import redact
from serve.gateway.problems import Problem

VISA = "4242424242424242"
DIGITS = "0123456789"


def with_check_digit(digits: str) -> str:
    """The number with the last digit that makes it valid, worked out from the other end than the code does."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return digits + str(-total % 10)


numbers = st.builds(
    lambda first, rest: with_check_digit(first + rest),
    st.sampled_from("123456789"),
    st.text(DIGITS, min_size=11, max_size=17),
)


@st.composite
def grouped(draw: st.DrawFn) -> str:
    """A card's number as people write one."""
    number, gap = draw(numbers), draw(st.sampled_from([" ", "-", "  ", " - ", "\u00a0", ""]))
    size = draw(st.integers(3, 6))
    return gap.join(number[place : place + size] for place in range(0, len(number), size))


@given(
    grouped(), st.sampled_from(["", "card ", "no:", "x-", "pm_", "\u00e9 "]), st.sampled_from(["", " 12/29", ".", "-x"])
)
def test_a_card_number_is_found_wherever_it_stands(number: str, before: str, after: str) -> None:
    text = f"{before}{number}{after}"
    assert in_text(text)
    for body in ({"a": text}, {"a": [{"b": text}]}, [text], text, {text: 1}):
        if len(number) not in (13, 14) or text != number or not isinstance(body, dict) or text not in body:
            assert in_body(json.dumps(body).encode())
    assert in_body(("".join(f"\\u{ord(one):04x}" for one in text).join(('{"a":"', '"}'))).encode())
    assert MASK in masked(text)
    assert not in_text(masked(text))


@given(st.text(DIGITS, min_size=6, max_size=14), st.sampled_from("123456789"), st.sampled_from([" ", "-", ".", ""]))
def test_phone_numbers_pass(digits: str, country: str, gap: str) -> None:
    national = f"0{digits}"
    for phone in (f"+{country}{digits}", f"+{country} {gap.join(digits)}", national, gap.join(national)):
        assert not in_text(phone)
        assert masked(phone) == phone


@given(st.uuids(version=4), st.integers(0, 2**128 - 1))
def test_ids_pass(one: uuid.UUID, other: int) -> None:
    for order_id in (str(one), str(uuid.UUID(int=other)), f"order {one}, please", str(one).upper()):
        assert not in_text(order_id)
    digits = uuid.UUID("42424242-4242-4242-4242-424242424242")
    assert not in_body(json.dumps({"id": str(digits)}).encode())


@given(st.binary(min_size=8, max_size=16))
def test_hexadecimal_ids_pass_unless_they_are_nothing_but_digits(raw: bytes) -> None:
    token = raw.hex()
    assert not in_text(f"evt_a{token}b")


@pytest.mark.parametrize(
    "body",
    [
        {"sku": "4006381333931"},
        {"lines": {"4006381333931": 1}},
        {"created": 4242424242424242},
        {"postal_code": "SW1Y 4JH", "phone": "+44 20 7946 0958"},
        {"a": "4242 4242 4242 4241"},
        {"a": "4242", "b": "4242", "c": "4242", "d": "4242"},
        {"tracking": "JD014600006281230701"},
    ],
)
def test_what_is_none(body: Any) -> None:
    assert not in_body(json.dumps(body).encode())


def test_an_article_number_is_one_only_where_a_sku_stands() -> None:
    article = with_check_digit("400638133393")
    assert not in_body(json.dumps({"sku": article}).encode())
    assert in_body(json.dumps({"name": article}).encode())
    assert in_body(json.dumps({"sku": VISA}).encode())
    assert in_body(json.dumps({"tracking": VISA}).encode())
    assert not in_body(json.dumps({"tracking": VISA}).encode(), frozenset({"tracking"}))


@pytest.mark.parametrize("body", [b"{" + VISA.encode(), b"\xff" + VISA.encode(), b"[" * 100_000 + VISA.encode()])
def test_what_is_no_json_has_no_strings(body: bytes) -> None:
    assert not in_body(body)


def test_all_numbers_of_a_text_are_blanked() -> None:
    assert masked(f"{VISA} and {VISA} {VISA}, 12/29") == f"{MASK} and {MASK} {MASK}, 12/29"
    assert redact(None, "info", {"event": f"paid by {VISA}", "more": [VISA]}) == {
        "event": f"paid by {MASK}",
        "more": [MASK],
    }


def test_nobody_waits_for_the_search_of_a_large_body() -> None:
    """The loop serves nobody else meanwhile. Of digits that make no number each beginning has seven possible ends."""
    for piece in ("1 ", "0 ", "12 ", "1"):
        body = json.dumps({"text": piece * ((LARGEST_SEARCHED - 20) // len(piece))}).encode()
        took = []
        for _ in range(3):
            began = time.process_time()
            assert not in_body(body)
            took.append(time.process_time() - began)
        assert min(took) < 0.4


class Body(msgspec.Struct):
    text: str


def test_a_body_that_would_take_long_to_search_is_not_searched() -> None:
    routes = Routes("test", refuses_cards=True)

    @routes.post("/api/test", body=Body, summary="Test", example={"text": "1"})
    async def take(request: Request) -> Response:
        return Response(204, b"")

    (route,) = routes.routes
    with pytest.raises(Problem) as refused:
        route.decode(json.dumps({"text": "1 " * (LARGEST_SEARCHED // 2)}).encode())
    assert (refused.value.code, refused.value.status) == ("body_too_large", 413)
    assert route.decode(json.dumps({"text": "1 " * 1000}).encode()) == Body("1 " * 1000)
