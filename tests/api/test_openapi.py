"""The description of the interface, and what a running shop tells of itself."""

from typing import Any

import httpx
import jsonschema
import pytest
from fastapi.openapi.models import OpenAPI
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Json, body
from tests.waiting import eventually

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(web: httpx.Client) -> Json:
    return body(web.get("/openapi.json"))


def _operations(document: Json) -> list[tuple[str, Json]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    ]


def _schema(document: Json, schema: Json) -> Json:
    """The schema with the document's components, so that its references lead somewhere."""
    return {**schema, "components": document["components"]}


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(part) for part in value))
    return set()


def test_the_document_is_valid(document: Json) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name
    missing = {ref for ref in _references(document) if ref.rpartition("/")[2] not in schemas}
    assert missing == set()
    ids = [operation["operationId"] for _, operation in _operations(document)]
    assert len(ids) == len(set(ids))


def test_every_route_says_what_it_does_and_what_may_go_wrong(document: Json) -> None:
    for name, operation in _operations(document):
        assert operation["summary"], name
        problems = [
            status
            for status, answer in operation["responses"].items()
            if "application/problem+json" in answer.get("content", {})
        ]
        assert problems, name


def test_every_route_with_a_body_has_an_example_that_fits(document: Json) -> None:
    bare = []
    for name, operation in _operations(document):
        if "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]["application/json"]
        example = _example(document, content)
        if example is None:
            bare.append(name)
        else:
            jsonschema.validate(example, _schema(document, content["schema"]), jsonschema.Draft202012Validator)
    assert bare == []


def test_every_example_of_an_answer_fits(document: Json) -> None:
    found = 0
    for _, operation in _operations(document):
        for answer in operation["responses"].values():
            content = answer.get("content", {}).get("application/json", {})
            if "example" in content:
                found += 1
                schema = _schema(document, content["schema"])
                jsonschema.validate(content["example"], schema, jsonschema.Draft202012Validator)
    assert found > 0


def _example(document: Json, content: Json) -> Any:
    """The example of a body: given as a whole, or put together from those of its fields."""
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    fields = schema.get("properties", {})
    examples = {name: field["examples"][0] for name, field in fields.items() if field.get("examples")}
    return examples if examples and set(schema.get("required", ())) <= set(examples) else None


def test_the_document_can_be_read(web: httpx.Client, document: Json) -> None:
    page = web.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path in document["paths"]:
        assert path in page.text


def test_the_shop_is_well_and_ready(web: httpx.Client) -> None:
    assert web.get("/-/healthz").status_code == 200
    ready = body(web.get("/api/health/ready"))
    ports = ("entities", "catalog", "orders", "users", "payments", "notifications")
    assert ready == {"ready": True, "parts": dict.fromkeys(ports, "ok")}


def test_metrics_count_requests_by_route(web: httpx.Client, guest: Buyer) -> None:
    guest.call("GET", "/api/cart")
    answer = web.get("/metrics")
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    counted = [sample.value for sample in samples if "/api/cart" in sample.labels.values()]
    assert max(counted) >= 1


def test_metrics_tell_of_hosts_and_flows(web: httpx.Client, product: MakeProduct) -> None:
    product()

    def told() -> dict[str, float]:
        families = text_string_to_metric_families(web.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return {f"{one.name} {' '.join(one.labels.values())}".strip(): one.value for one in samples}

    flows = ("open_payments", "settle_orders", "list_orders_2", "show_availability", "send_mails")
    shown = eventually(
        lambda: found if {f"troupe_flow_letters {flow}" for flow in flows} <= (found := told()).keys() else {}
    )
    assert (shown["troupe_placement_up"], shown["troupe_flows_up"], shown["troupe_host_up host-0"]) == (1, 1, 1)
    assert shown["troupe_host_shards host-0"] == 256
    assert shown["troupe_host_records_total host-0"] >= shown["troupe_host_batches_total host-0"] > 0
    # Also behind what is written at the start, and is no event.
    eventually(lambda: all(told()[f"troupe_flow_behind_records {flow}"] == 0 for flow in flows))
