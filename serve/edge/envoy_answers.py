"""What Envoy answers by itself has the form of the shop's own errors: problem+json with the codes that clients know."""

from typing import Any

from serve.gateway.problems import CODES, MEDIA_TYPE

Json = dict[str, Any]
_DETAILS = {
    "not_authenticated": "Send a good token: Authorization: Bearer ...",
    "forbidden": "This is not open to you.",
    "not_found": "There is nothing here.",
    "body_too_slow": "The request did not arrive in time.",
    "rate_limited": "Too many requests come from this address.",
}
_AWAY = "The shop cannot be reached just now. Try again; the same Idempotency-Key does nothing twice."


def local_answers(max_body: int) -> Json:
    """`max_body`: in bytes."""
    details = {**_DETAILS, "body_too_large": f"At most {max_body} bytes."}
    answers = [(CODES[code].status, code, detail) for code, detail in details.items()]
    answers += [(status, "unavailable", _AWAY) for status in (502, 503, 504)]
    return {
        "mappers": [_mapper(status, code, detail) for status, code, detail in answers],
        "body_format": _format("bad_request", "Bad request", "The request cannot be understood."),
    }


def _mapper(status: int, code: str, detail: str) -> Json:
    comparison = {"op": "EQ", "value": {"default_value": status, "runtime_key": f"answers.{status}"}}
    made: Json = {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "body_format_override": _format(code, CODES[code].title, detail),
    }
    if code == "unavailable":  # as the shop says it
        made["headers_to_add"] = [{"header": {"key": "retry-after", "value": "1"}}]
    return made


def _format(code: str, title: str, detail: str) -> Json:
    return {
        "json_format": {
            "type": f"urn:troupe:problem:{code}",
            "title": title,
            "status": "%RESPONSE_CODE%",
            "code": code,
            "detail": detail,
            "request_id": "%REQ(X-REQUEST-ID)%",
        },
        "content_type": MEDIA_TYPE,
    }
