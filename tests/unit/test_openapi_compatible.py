"""Version 1 changes by addition only: the interface against the committed description of the last release."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serve.describing import description
from serve.gateway.compatible import METHODS, breaking

RELEASED = Path(__file__).resolve().parents[2] / "docs/openapi.json"
ACCEPT = "\nIf callers may break: `make openapi` rewrites docs/openapi.json, and CHANGELOG.md has to say what broke."

Json = dict[str, Any]


async def test_nothing_that_was_released_breaks() -> None:
    changes = breaking(json.loads(RELEASED.read_text()), await description())
    assert changes == [], "\n".join(changes) + ACCEPT


async def test_every_operation_is_described_whole() -> None:
    document = await description()
    ids, bare = [], []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            ids.append(operation["operationId"])
            assert operation["summary"], name
            assert operation["tags"], name
            assert {"401", "429", "500", "503"} <= set(operation["responses"]), name
            assert "Retry-After" in operation["responses"]["429"]["headers"], name
            if "requestBody" in operation:
                assert {"400", "413", "422"} <= set(operation["responses"]), name
                content = operation["requestBody"]["content"].get("application/json", {})
                if "example" in content:
                    schema = {**content["schema"], "components": document["components"]}
                    jsonschema.validate(content["example"], schema, jsonschema.Draft202012Validator)
            for answer in operation["responses"].values():
                for kind, media in answer.get("content", {}).items():
                    if "example" in media:
                        schema = {**media["schema"], "components": document["components"]}
                        jsonschema.validate(media["example"], schema, jsonschema.Draft202012Validator)
                    elif kind == "application/json" and operation["tags"][0] in ("users", "notifications"):
                        bare.append(name)
    assert len(ids) == len(set(ids))
    assert bare == ["GET /api/users/oauth/{provider}/callback"]  # of which there are two forms


async def test_nobody_is_logged_in_by_a_mail_nor_asked_secret_questions() -> None:
    document = await description()
    ways = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if any("SessionBody" in json.dumps(answer) for answer in operation["responses"].values())
    }
    assert ways == {
        "POST /api/users/sessions",
        "POST /api/users/sessions/refresh",
        "POST /api/users/oauth/exchange",
        "GET /api/users/oauth/{provider}/callback",
    }
    fields = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", ())}
    assert not [name for name in fields if "hint" in name or "question" in name]


ILLUSTRATED = ("/api/catalog/", "/api/cart", "/api/orders", "/api/payments/")
STAFF = tuple(f"/api/admin/{name}" for name in ("carts", "orders", "payments", "products", "stock"))


async def test_answers_have_examples_that_fit() -> None:
    document = await description()
    schemas, bare = document["components"]["schemas"], []
    for name, schema in schemas.items():
        for example in schema.get("examples", ()):
            whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            jsonschema.validate(example, whole, jsonschema.Draft202012Validator)
            # A whole one, so that no field is left to be guessed; those that only some callers get apart.
            assert set(schema.get("required", ())) <= set(example) <= set(schema["properties"]), name
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json")
                if content is None or not status.startswith("2") or not path.startswith((*ILLUSTRATED, *STAFF)):
                    continue
                if "examples" not in schemas[content["schema"]["$ref"].rpartition("/")[2]]:
                    bare.append(f"{method.upper()} {path} {status}")
    assert bare == []


LINE = {
    "type": "object",
    "required": ["sku", "quantity"],
    "properties": {
        "sku": {"type": "string", "maxLength": 40},
        "quantity": {"type": "integer", "minimum": 1},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "size": {"enum": ["s", "m"]},
        "more": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
    },
}


def document() -> Json:
    reference = {"$ref": "#/components/schemas/Line"}
    operation = {
        "parameters": [
            {"in": "query", "name": "limit", "required": False, "schema": {"type": "integer", "maximum": 100}},
            {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
        "responses": {
            "200": {"content": {"application/json": {"schema": reference}}},
            "404": {"content": {"application/problem+json": {"schema": {"type": "object"}}}},
        },
    }
    return {
        "paths": {"/lines/{id}": {"post": operation, "get": {"responses": {"200": {}}}}},
        "components": {"schemas": {"Line": copy.deepcopy(LINE)}},
    }


def changed(*steps: str | int, to: Any = None, remove: bool = False) -> list[str]:
    """What breaks when one place of the document is changed. "line" is the schema, "post" the operation."""
    new = document()
    places = {"line": new["components"]["schemas"]["Line"], "post": new["paths"]["/lines/{id}"]["post"], "new": new}
    target: Any = places[str(steps[0])]
    for step in steps[1:-1]:
        target = target[step]
    if remove:
        del target[steps[-1]]
    else:
        target[steps[-1]] = to
    return [change.removeprefix("POST /lines/{id}: ") for change in breaking(document(), new)]


def test_the_same_breaks_nothing() -> None:
    assert breaking(document(), document()) == []


@pytest.mark.parametrize(
    ("steps", "to", "told"),
    [
        (("new", "paths", "/lines/{id}"), None, ["/lines/{id}: the path was removed"]),
        (("new", "paths", "/lines/{id}", "get"), None, ["GET /lines/{id}: the method was removed"]),
        (("post", "responses", "404"), None, ["the status 404 was removed"]),
        (("post", "responses", "200", "content"), None, ["answer 200: application/json was removed"]),
        (("post", "parameters", 0), None, ["the query parameter limit was removed"]),
        (("post", "parameters", 0, "required"), True, ["the query parameter limit is required now"]),
        (
            ("post", "parameters", 0, "schema", "maximum"),
            50,
            ["query parameter limit: maximum was 100 and is 50"],
        ),
        (
            ("post", "parameters", 1, "schema", "type"),
            "integer",
            ["path parameter id: the type was string and is integer"],
        ),
        (("post", "security"), [{"bearer": []}], ["it needs a token now"]),
        (("post", "requestBody"), None, ["the body was removed"]),
        (
            ("line", "properties", "size"),
            None,
            ["body/size: the field was removed", "answer 200/size: the field was removed"],
        ),
        (("line", "required"), ["sku", "quantity", "note"], ["body/note: the field is required now"]),
        (("line", "required"), ["sku"], ["answer 200/quantity: the field may be missing now"]),
        (("line", "properties", "size", "enum"), ["s"], ["body/size: no longer takes 'm'"]),
        (
            ("line", "properties", "quantity", "type"),
            "string",
            [
                "body/quantity: the type was integer and is string",
                "answer 200/quantity: the type was integer and is string",
            ],
        ),
        # More is taken, and so more may be answered.
        (
            ("line", "properties", "quantity", "type"),
            "number",
            ["answer 200/quantity: the type was integer and is number"],
        ),
        (
            ("line", "properties", "note"),
            {"type": "string"},
            ["body/note: the type was null and is string"],
        ),
        (
            ("line", "properties", "sku", "type"),
            ["string", "null"],
            ["answer 200/sku: the type was string and is null"],
        ),
        (("line", "properties", "sku", "maxLength"), 30, ["body/sku: maxLength was 40 and is 30"]),
        (("line", "properties", "sku", "minLength"), 2, ["body/sku: minLength was not there and is 2"]),
        (("line", "properties", "sku", "pattern"), "^A", ["body/sku: the pattern was not there and is ^A"]),
        (("line", "properties", "sku", "enum"), ["A"], ["body/sku: only certain values are taken now"]),
        (
            ("line", "properties", "more", "items"),
            {"type": "string"},
            ["body/more/*: the type was object and is string", "answer 200/more/*: the type was object and is string"],
        ),
    ],
)
def test_what_breaks_callers_is_told(steps: tuple[str | int, ...], to: Any, told: list[str]) -> None:
    assert changed(*steps, to=to, remove=to is None) == told


@pytest.mark.parametrize(
    ("steps", "to"),
    [
        (("new", "paths", "/more"), {"get": {"responses": {}}}),
        (("post", "responses", "409"), {}),
        (("post", "parameters", 0, "schema", "maximum"), 200),
        (("post", "parameters", 1, "name"), "id"),
        (("line", "properties", "new"), {"type": "string"}),
        (("line", "properties", "size", "enum"), ["s", "m", "l"]),
        (("line", "properties", "sku", "maxLength"), 80),
        (("line", "title"), "A line"),
    ],
)
def test_additions_break_nobody(steps: tuple[str | int, ...], to: Any) -> None:
    assert changed(*steps, to=to) == []


def test_what_is_asked_for_in_addition_breaks() -> None:
    new = document()
    parameter = {"in": "query", "name": "shop", "required": True, "schema": {"type": "string"}}
    new["paths"]["/lines/{id}"]["post"]["parameters"].append(parameter)
    new["paths"]["/lines/{id}"]["get"]["requestBody"] = {"required": True, "content": {}}
    line = new["components"]["schemas"]["Line"]
    line["properties"]["colour"] = {"type": "string"}
    line["required"].append("colour")
    assert sorted(breaking(document(), new)) == [
        "GET /lines/{id}: a body is required now",
        "POST /lines/{id}: body/colour: the field is required and new",
        "POST /lines/{id}: the new query parameter shop is required",
    ]


def test_only_operations_are_compared() -> None:
    assert "parameters" not in METHODS
