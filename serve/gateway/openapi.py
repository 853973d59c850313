"""The OpenAPI document of lean routes, merged with FastAPI's, and a page to read it without anyone else's scripts."""

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from serve.gateway.lean import Route
from serve.gateway.problems import CODES, MEDIA_TYPE

_REF = "#/components/schemas/{name}"
_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457. `code` is stable; `errors` says where a request does not fit.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "about": {"type": "object", "additionalProperties": True},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "detail"],
                "properties": {"where": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_DESCRIPTION = (
    "Money is an integer of minor units and a currency. Errors are problem+json with a stable `code`. Writes take an "
    "`Idempotency-Key`. Every answer carries `X-Request-Id`. Lists page with `cursor`. "
    "Answers to limited calls carry `RateLimit-Limit`, `-Remaining` and `-Reset`: users and guests are counted by "
    "themselves and with all others of their address, reading, writing and staff routes each by itself. "
    "Version 1 changes by addition only: bear fields and values that you do not know."
)
RATE_LIMIT_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
HEADERS = {
    "Retry-After": "Seconds until another try makes sense.",
    "RateLimit-Limit": "How many requests may come at once.",
    "RateLimit-Remaining": "How many may come now.",
    "RateLimit-Reset": "Seconds until as many as possible may come again; on 429, until the next may.",
}
_REASONS = {200: "OK", 201: "Created", 202: "Under way", 204: "Done, nothing to tell", 304: "Not changed"}


def problem_codes(route: Route) -> dict[int, list[str]]:
    """The codes that a route may answer, by status: its own and those that follow from its declaration."""
    declared = route.declared
    codes = [*declared.problems, "invalid_token", "rate_limited", "internal", "unavailable", "overloaded"]
    codes += ["service_unavailable", "body_too_large"]
    if route.has_body:
        codes += ["malformed_json", "invalid_request", "body_too_large", "body_too_slow", "unsupported_media_type"]
        if declared.refuses_cards:
            codes.append("card_number_not_accepted")
    if declared.query is not None or declared.params:
        codes.append("invalid_request")
    if declared.access != "anyone":
        codes.append("not_authenticated")
    if declared.access in ("user", "staff"):
        codes.append("forbidden")
    if any(name.lower() == "idempotency-key" for name in declared.headers):
        codes += ["bad_idempotency_key", "idempotency_key_reused"]
    return _by_status(codes)


def _by_status(codes: Sequence[str]) -> dict[int, list[str]]:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CODES[code].status if code in CODES else 409, []).append(code)
    return dict(sorted(by_status.items()))


def _types(routes: Sequence[Route]) -> list[Any]:
    found: list[Any] = []
    for route in routes:
        declared = route.declared
        kinds = [declared.body, declared.query, *declared.answers.values(), *declared.params.values()]
        found += [kind for kind in kinds if kind is not None and kind not in found]
    return found


def lean_document(routes: Sequence[Route]) -> dict[str, Any]:
    """Paths and schemas of the lean routes."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, types, schemas, components)
        for kind in route.declared.answers.values():
            if kind in route.declared.examples:
                components[kind.__name__]["examples"] = [msgspec.to_builtins(route.declared.examples[kind])]
    queries = {route.declared.query.__name__ for route in routes if route.declared.query is not None}
    return {"paths": paths, "schemas": {k: v for k, v in components.items() if k not in queries}}


def _operation(route: Route, types: list[Any], schemas: Sequence[Any], components: dict[str, Any]) -> dict[str, Any]:
    declared = route.declared
    operation: dict[str, Any] = {
        "summary": declared.summary,
        "operationId": f"{route.method.lower()}_{route.path.strip('/').translate(str.maketrans('/-.', '___', '{}'))}",
        "responses": _responses(route, types, schemas),
    }
    if declared.description:
        operation["description"] = declared.description
    if declared.tag:
        operation["tags"] = [declared.tag]
    if parameters := _parameters(route, types, schemas, components):
        operation["parameters"] = parameters
    if route.has_body:
        content: dict[str, Any] = {"schema": schemas[types.index(declared.body)]}
        if declared.example is not None:
            content["example"] = msgspec.to_builtins(declared.example)
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if declared.access != "anyone":
        operation["security"] = [{"bearer": []}]
    return operation


def _responses(route: Route, types: list[Any], schemas: Sequence[Any]) -> dict[str, Any]:
    declared = route.declared
    responses: dict[str, Any] = {}
    for status, kind in declared.answers.items():
        answer: dict[str, Any] = {"description": _REASONS.get(status, "An answer")}
        if kind is not None:
            content: dict[str, Any] = {"schema": schemas[types.index(kind)]}
            if status in declared.answer_examples:
                content["example"] = msgspec.to_builtins(declared.answer_examples[status])
            answer["content"] = {"text/event-stream" if declared.streams else "application/json": content}
        responses[str(status)] = answer
    for status, codes in problem_codes(route).items():
        described = "; ".join(f"`{code}`: {CODES[code].title if code in CODES else 'refused'}" for code in codes)
        responses.setdefault(str(status), _problem(status, described))
    return responses


def _problem(status: int, described: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": described, "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF}}}
    if status in (429, 503):
        names = ("Retry-After", *RATE_LIMIT_HEADERS) if status == 429 else ("Retry-After",)
        answer["headers"] = {name: {"description": HEADERS[name], "schema": {"type": "integer"}} for name in names}
    return answer


def _parameters(
    route: Route, types: list[Any], schemas: Sequence[Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    declared = route.declared
    found: list[dict[str, Any]] = []
    for name in route.names:
        kind = declared.params.get(name)
        schema = {"type": "string"} if kind is None else schemas[types.index(kind)]
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    if declared.query is not None:
        struct = components[schemas[types.index(declared.query)]["$ref"].rpartition("/")[2]]
        required = struct.get("required", ())
        for name, schema in struct["properties"].items():
            found.append({"name": name, "in": "query", "required": name in required, "schema": schema})
    for name, sentence in declared.headers.items():
        found.append(
            {"name": name, "in": "header", "required": False, "description": sentence, "schema": {"type": "string"}}
        )
    return found


def merged(routes: Sequence[Route], fastapi: dict[str, Any], title: str) -> dict[str, Any]:
    """One document. Raises ValueError when both describe one operation, or a schema name means two things."""
    lean = lean_document(routes)
    paths: dict[str, Any] = {path: dict(operations) for path, operations in lean["paths"].items()}
    for path, operations in fastapi.get("paths", {}).items():
        for method, operation in operations.items():
            if method in paths.setdefault(path, {}):
                raise ValueError(f"{method.upper()} {path} is declared twice")
            paths[path][method] = _with_problems(_with_examples(operation, fastapi))
    components = dict(fastapi.get("components", {}))
    schemas = {"Problem": _PROBLEM_SCHEMA, **lean["schemas"]}
    for name, schema in components.get("schemas", {}).items():
        if name in ("HTTPValidationError", "ValidationError"):
            continue
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"the schema {name} means two things")
    security = {"bearer": {"type": "http", "scheme": "bearer", "description": "An access token or a guest token."}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": _DESCRIPTION},
        "paths": dict(sorted(paths.items())),
        "components": {
            **components,
            "schemas": schemas,
            "securitySchemes": {**components.get("securitySchemes", {}), **security},
        },
    }


def _with_examples(operation: Any, fastapi: dict[str, Any]) -> Any:
    """The example that a body's type has is that of each answer which is such a body."""
    if not isinstance(operation, dict) or "responses" not in operation:
        return operation
    schemas = fastapi.get("components", {}).get("schemas", {})
    responses = dict(operation["responses"])
    for status, answer in responses.items():
        content = answer.get("content", {}).get("application/json", {})
        reference = str(content.get("schema", {}).get("$ref", ""))
        examples = schemas.get(reference.rpartition("/")[2], {}).get("examples")
        if examples and "example" not in content:
            media = {**answer["content"], "application/json": {**content, "example": examples[0]}}
            responses[status] = {**answer, "content": media}
    return {**operation, "responses": responses}


def _with_problems(operation: Any) -> Any:
    """FastAPI describes its own form of validation errors; ours is a problem, and every route may answer some more."""
    if not isinstance(operation, dict) or "responses" not in operation:
        return operation
    codes = ["invalid_token", "rate_limited", "internal", "unavailable", "service_unavailable"]
    if "requestBody" in operation:
        codes += ["malformed_json", "invalid_request", "body_too_large", "body_too_slow"]
    if "security" in operation:
        codes += ["not_authenticated", "forbidden"]
    responses = dict(operation["responses"])
    if "422" in responses and "HTTPValidationError" in str(responses["422"]):
        del responses["422"]
        codes.append("invalid_request")
    for status, found in _by_status(codes).items():
        described = "; ".join(f"`{code}`: {CODES[code].title}" for code in found)
        responses.setdefault(str(status), _problem(status, described))
        if status == 429:  # also where a route says it in its own words
            responses["429"] = {**_problem(429, described), **responses["429"]}
    responses.setdefault("default", {"description": "A problem", "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF}}})
    return {**operation, "responses": responses}


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
summary {{ cursor: pointer; padding: .35rem 0 }} code, pre {{ font: 14px/1.4 ui-monospace, monospace }}
pre {{ background: #f4f4f4; padding: .75rem; overflow-x: auto }} details {{ border-bottom: 1px solid #ddd }}
b.m {{ display: inline-block; min-width: 4.5rem }}
</style></head><body><h1>{title}</h1><p>{description}</p><p><a href="/openapi.json">/openapi.json</a></p>
{operations}<h2>Schemas</h2>{schemas}</body></html>"""


def page(document: dict[str, Any]) -> str:
    """The document as HTML that loads nothing from anywhere."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                tag = (operation.get("tags") or ["others"])[0]
                by_tag.setdefault(tag, []).append(_operation_html(method, path, operation))
    return _PAGE.format(
        title=escape(document["info"]["title"]),
        description=escape(document["info"].get("description", "")),
        operations="".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in sorted(by_tag.items())),
        schemas="".join(
            f"<details><summary><code>{escape(name)}</code></summary>{_pre(schema)}</details>"
            for name, schema in sorted(document["components"]["schemas"].items())
        ),
    )


def _pre(value: Any) -> str:
    return f"<pre>{escape(msgspec.json.format(msgspec.json.encode(value)).decode())}</pre>"


def _operation_html(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<p>{escape(operation.get('description', ''))}</p>"]
    if "security" in operation:
        parts.append("<p>Needs a bearer token.</p>")
    if "parameters" in operation:
        parts += ["<h4>Parameters</h4>", _pre(operation["parameters"])]
    if "requestBody" in operation:
        parts += ["<h4>Body</h4>", _pre(operation["requestBody"]["content"])]
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(answer.get('description', ''))}</li>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><b class='m'>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary>{''.join(parts)}<h4>Answers</h4><ul>{answers}</ul></details>"
    )
