"""Problems: their form, and which error becomes which."""

import io
import json
from typing import Any

import msgspec
import pytest
import structlog
from starlette.exceptions import HTTPException

from actors.decision import Refused
from actors.runtime.ports import KeyReused, Overloaded, Unavailable
from serve.gateway import logs, problems, request_ids
from serve.gateway.idempotency import command_id, fingerprint
from serve.gateway.logs import redact
from serve.gateway.problems import Problem


def body(problem: Problem) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(problem.body("r1"))
    return decoded


def test_a_problem_has_the_form_of_rfc_9457() -> None:
    assert body(Problem("unknown_sku", "There is no MUG.", about={"sku": "MUG"})) == {
        "type": "urn:troupe:problem:unknown_sku",
        "title": "No such product",
        "status": 404,
        "code": "unknown_sku",
        "detail": "There is no MUG.",
        "request_id": "r1",
        "about": {"sku": "MUG"},
    }


def test_extra_members_do_not_replace_the_fixed_ones() -> None:
    assert body(Problem("conflict", "no", type="x", request_id="y"))["request_id"] == "r1"


def test_a_refusal_keeps_its_code_and_what_it_is_about() -> None:
    problem = problems.refused(Refused("cart_merged", "It is part of another.", {"into": "u1"}))
    assert (problem.status, problem.code, problem.about) == (409, "cart_merged", {"about": {"into": "u1"}})
    assert problems.refused(Refused("never_heard_of", "x")).status == 409


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (Overloaded(0.2), 503, "overloaded", "1"),
        (Unavailable("gone", 7.0), 503, "unavailable", "7"),
        (KeyReused(), 422, "idempotency_key_reused", None),
        (TimeoutError(), 503, "unavailable", "1"),
        (RuntimeError("secret"), 500, "internal", None),
    ],
)
def test_which_error_becomes_which(error: Exception, status: int, code: str, retry_after: str | None) -> None:
    problem = problems.from_error(error)
    assert (problem.status, problem.code, problem.headers.get("Retry-After")) == (status, code, retry_after)
    assert "secret" not in problem.detail


def test_where_msgspec_found_it() -> None:
    class Inner(msgspec.Struct):
        quantity: int

    class Outer(msgspec.Struct):
        lines: list[Inner]
        by: dict[str, int] = {}

    with pytest.raises(msgspec.ValidationError) as first:
        msgspec.json.decode(b'{"lines": [{"quantity": 1}, {"quantity": "2"}]}', type=Outer)
    with pytest.raises(msgspec.ValidationError) as second:
        msgspec.json.decode(b'{"lines": [], "by": {"a": "b"}}', type=Outer)
    assert problems.from_msgspec(first.value, "body").about["errors"] == [
        {"where": "/body/lines/1/quantity", "detail": "Expected `int`, got `str`"}
    ]
    assert problems.from_msgspec(second.value, "body").about["errors"][0]["where"] == "/body/by/*"


def test_starlettes_errors() -> None:
    missing = problems.from_http_exception(HTTPException(404))
    assert (missing.status, missing.code) == (404, "not_found")
    other = problems.from_http_exception(HTTPException(404), frozenset({"POST"}))
    assert (other.status, other.headers["Allow"]) == (405, "POST")
    both = problems.from_http_exception(HTTPException(405, headers={"Allow": "GET"}), frozenset({"POST"}))
    assert both.headers["Allow"] == "GET, POST"


def test_a_code_has_one_meaning() -> None:
    assert problems.declare("unknown_sku", 404, "No such product") == "unknown_sku"
    with pytest.raises(ValueError, match="already means"):
        problems.declare("unknown_sku", 410, "Gone")


def test_request_ids_of_callers_are_taken_if_sensible() -> None:
    assert request_ids.request_id(b"abc-12345") == "abc-12345"
    for bad in (b"short", b"x" * 129, b"with space", b"line\nbreak", None):
        made = request_ids.request_id(bad)
        assert len(made) == 24
        assert made != (bad or b"").decode()


def test_command_ids_and_fingerprints() -> None:
    one = command_id("user:1", "POST", "/api/cart/items", "k")
    assert len(one) == 32
    assert one == command_id("user:1", "POST", "/api/cart/items", "k")
    others = {
        command_id("user:2", "POST", "/api/cart/items", "k"),
        command_id("user:1", "PATCH", "/api/cart/items", "k"),
        command_id("user:1", "POST", "/api/orders", "k"),
        command_id("user:1", "POST", "/api/cart/items", "l"),
    }
    assert len(others | {one}) == 5
    assert fingerprint(b"a", "/x") != fingerprint(b"a", "/y")
    for bad in ("", "with space", "é", "k" * 256):
        with pytest.raises(Problem, match="bad_idempotency_key"):
            command_id("user:1", "POST", "/", bad)


def test_logs_are_json_with_the_requests_id_and_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    marker = request_ids.current.set("r-12345678")
    try:
        secret = "hunter2"
        raise RuntimeError(len(secret))
    except RuntimeError as error:
        logs.log(order="o1").error("it broke", exc_info=error)
        logs.log().info("too quiet to be written")
    finally:
        request_ids.current.reset(marker)
        structlog.reset_defaults()
    text = capsys.readouterr().err
    line = json.loads(text)
    assert (line["event"], line["order"], line["level"], line["request_id"]) == (
        "it broke",
        "o1",
        "error",
        "r-12345678",
    )
    assert line["exception"][0]["exc_type"] == "RuntimeError"
    assert "hunter2" not in text


def test_logs_never_carry_secrets() -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[redact, structlog.processors.JSONRenderer()]
    ).bind()
    logger.info(
        "sent Bearer abc.def",
        password="hunter2",
        headers={"Authorization": "Bearer x", "accept": "json"},
        url="mysql://root:hunter2@db/x",
        tokens=["eyJhbGciOiJI.eyJzdWIi.c2ln"],
        note="got eyJhbGciOiJI.eyJzdWIi.c2ln",
    )
    line = out.getvalue()
    assert "hunter2" not in line
    assert "eyJ" not in line
    assert json.loads(line) == {
        "event": "sent [redacted]",
        "password": "[redacted]",
        "headers": {"Authorization": "[redacted]", "accept": "json"},
        "url": "mysql[redacted]db/x",
        "tokens": "[redacted]",
        "note": "got [redacted]",
    }
