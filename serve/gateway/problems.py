"""Errors as RFC 9457 problem+json, each with a stable `code`."""

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec
from fastapi import FastAPI
from fastapi import Request as FastApiRequest
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response as StarletteResponse

from actors.decision import Refused
from actors.runtime.ports import KeyReused, Overloaded, Unavailable
from pipelines.sql.retrying import is_away
from serve.gateway.logs import log

MEDIA_TYPE = "application/problem+json"


class Code(NamedTuple):
    status: int
    title: str


CODES: dict[str, Code] = {
    # what the request looks like
    "malformed_json": Code(400, "The body is not JSON"),
    "bad_idempotency_key": Code(400, "Unusable Idempotency-Key"),
    "bad_request": Code(400, "Bad request"),
    "invalid_request": Code(422, "The request does not fit its description"),
    "card_number_not_accepted": Code(422, "Card numbers are not taken here"),
    "body_too_large": Code(413, "The body is too large"),
    "body_too_slow": Code(408, "The body did not arrive in time"),
    "unsupported_media_type": Code(415, "The body must be application/json"),
    "idempotency_key_reused": Code(422, "This Idempotency-Key was used for another request"),
    # who is calling
    "not_authenticated": Code(401, "Authentication needed"),
    "invalid_token": Code(401, "The token is not valid"),
    "wrong_credentials": Code(401, "Wrong email or password"),
    "forbidden": Code(403, "Not allowed"),
    "origin_refused": Code(400, "Pages of this origin may not call"),
    "rate_limited": Code(429, "Too many requests"),
    # what is asked for
    "not_found": Code(404, "Not found"),
    "method_not_allowed": Code(405, "Method not allowed"),
    "unknown_sku": Code(404, "No such product"),
    "no_such_line": Code(404, "No such line in the cart"),
    "bad_quantity": Code(422, "Unusable quantity"),
    "email_taken": Code(409, "This email address has an account"),
    "weak_password": Code(422, "This password is too easy to guess"),
    "conflict": Code(409, "Not possible now"),
    "cart_full": Code(409, "The cart is full"),
    "cart_merged": Code(409, "The cart became part of another"),
    "nothing_to_check_out": Code(409, "There is nothing to check out"),
    "total_changed": Code(409, "The total changed"),
    "sku_gone": Code(409, "A product is no longer sold"),
    # what went wrong with us
    "internal": Code(500, "Something went wrong"),
    "unavailable": Code(503, "Not available at the moment"),
    "overloaded": Code(503, "Too busy at the moment"),
    "service_unavailable": Code(503, "A part of the shop does not run here"),
}
_BY_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
}


def declare(code: str, status: int, title: str) -> str:
    """A service's own code; raises ValueError when another service gave it another meaning."""
    meaning = Code(status, title)
    if CODES.setdefault(code, meaning) != meaning:
        raise ValueError(f"problem code {code!r} already means {CODES[code]}")
    return code


class Problem(Exception):
    """An error answer. `about` becomes further members of the body; an undeclared code has the status 409."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **about: Any,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        meaning = CODES.get(code) or Code(409, CODES["conflict"].title)
        self.code = code
        self.detail = detail
        self.status = status or meaning.status
        self.title = meaning.title
        self.headers = dict(headers or {})
        self.about = about
        if self.status == 401:
            self.headers.setdefault("WWW-Authenticate", "Bearer")

    def body(self, request_id: str) -> bytes:
        return msgspec.json.encode(
            {
                **self.about,
                "type": f"urn:troupe:problem:{self.code}",
                "title": self.title,
                "status": self.status,
                "code": self.code,
                "detail": self.detail,
                "request_id": request_id,
            }
        )


def invalid(detail: str, where: str) -> Problem:
    """A part of the request that does not fit; `where` as a JSON pointer into it: /body/quantity, /query/limit."""
    return Problem("invalid_request", f"{where}: {detail}", errors=[{"where": where, "detail": detail}])


def from_msgspec(error: msgspec.ValidationError, part: str) -> Problem:
    """What msgspec found, in our words: ``... - at `$.lines[0].sku``` becomes /body/lines/0/sku."""
    detail, _, path = str(error).partition(" - at `")
    pointer = (
        path.rstrip("`").removeprefix("$").replace("[...]", "/*").replace("[", "/").replace("]", "").replace(".", "/")
    )
    return invalid(detail, f"/{part}{pointer}")


def refused(answer: Refused) -> Problem:
    """The rules said no; what they said it is about is told to the caller."""
    if answer.about:
        return Problem(answer.code, answer.detail, about=answer.about)
    return Problem(answer.code, answer.detail)


def lacking(part: str) -> Problem:
    """`service_unavailable`; `part` is the part of the shop that does not run in this process."""
    detail = f"This needs the part {part!r} of the shop, which does not run here."
    return Problem("service_unavailable", detail, headers={"Retry-After": "30"}, part=part)


def raise_refused(answer: Refused) -> NoReturn:
    raise refused(answer)


def from_error(error: BaseException) -> Problem:
    """The answer for any exception; what nobody expected is logged and told to nobody."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Overloaded | Unavailable):
        busy = isinstance(error, Overloaded)
        return Problem(
            "overloaded" if busy else "unavailable",
            "Please try again a little later.",
            headers={"Retry-After": str(max(1, round(error.retry_after)))},
        )
    if isinstance(error, KeyReused):
        return Problem("idempotency_key_reused", "Use a new Idempotency-Key for a request that differs.")
    if isinstance(error, TimeoutError) or is_away(error):
        return Problem("unavailable", "No answer in time; please try again.", headers={"Retry-After": "1"})
    log().error("unexpected error", exc_info=error)
    return Problem("internal", "The error was recorded; the request id finds it.")


def status_of(error: Exception) -> int:
    """The status of the answer for an exception."""
    if isinstance(error, Problem):
        return error.status
    if isinstance(error, Overloaded | Unavailable | TimeoutError) or is_away(error):
        return 503
    return 422 if isinstance(error, KeyReused) else 500


def _answer(problem: Problem, request: FastApiRequest) -> StarletteResponse:
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    return StarletteResponse(problem.body(request_id), problem.status, problem.headers, MEDIA_TYPE)


def from_fastapi(error: RequestValidationError) -> Problem:
    """FastAPI's validation errors in the form that ours have; the values sent are not repeated (passwords)."""
    errors: list[dict[str, str]] = []
    for found in error.errors():
        if found["type"] == "json_invalid":
            return Problem("malformed_json", "The body is not JSON.")
        where = "/" + "/".join(str(step) for step in found["loc"])
        errors.append({"where": where, "detail": str(found["msg"])})
    first = errors[0] if errors else {"where": "/", "detail": "does not fit"}
    return Problem("invalid_request", f"{first['where']}: {first['detail']}", errors=errors)


def from_http_exception(error: HTTPException, lean_methods: frozenset[str] = frozenset()) -> Problem:
    """Starlette's own errors. `lean_methods`: what the lean routes offer at this path, so that 404 may be 405."""
    if isinstance(error.__cause__, Problem):  # FastAPI takes whatever is raised while it reads a body for a bad one
        return error.__cause__
    headers = dict(error.headers or {})
    status = 405 if error.status_code == 404 and lean_methods else error.status_code
    if status == 405:
        allowed = {m.strip() for m in headers.pop("Allow", "").split(",") if m.strip()} | lean_methods
        headers["Allow"] = ", ".join(sorted(allowed))
        return Problem("method_not_allowed", f"Allowed here: {headers['Allow']}.", headers=headers)
    code = _BY_STATUS.get(status, "internal" if status >= 500 else "bad_request")
    detail = "There is nothing here." if status == 404 and error.detail == "Not Found" else str(error.detail)
    return Problem(code, detail, status=status, headers=headers)


def install(app: FastAPI) -> None:
    """Makes every error of a FastAPI application a problem."""

    async def on_validation(request: FastApiRequest, error: Exception) -> StarletteResponse:
        assert isinstance(error, RequestValidationError)
        return _answer(from_fastapi(error), request)

    async def on_http(request: FastApiRequest, error: Exception) -> StarletteResponse:
        assert isinstance(error, HTTPException)
        lean_methods = frozenset(request.scope.get("state", {}).get("lean_methods", ()))
        return _answer(from_http_exception(error, lean_methods), request)

    async def on_error(request: FastApiRequest, error: Exception) -> StarletteResponse:
        return _answer(from_error(error), request)

    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    for kind in (Problem, Overloaded, Unavailable, KeyReused, TimeoutError, SQLAlchemyError, Exception):
        app.add_exception_handler(kind, on_error)
