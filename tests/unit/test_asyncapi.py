"""The committed description of the events is true, and changes by addition only."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from actors.decision import Message
from pipelines.describing import EVENTS, description, name_of, tag_of
from pipelines.log.base import Happened
from pipelines.log.cloud_events import from_kafka, to_kafka
from pipelines.wanted import Types
from serve.gateway.compatible import breaking

COMMITTED = Path(__file__).parents[2] / "docs" / "events" / "asyncapi.json"


def _as_answers(document: dict[str, Any]) -> dict[str, Any]:
    """The events as if they were answers of an interface: who reads either bears additions only."""
    paths = {
        f"/{name}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": one["payload"]}}}}}}
        for name, one in document["components"]["messages"].items()
    }
    return {"paths": paths, "components": document["components"]}


def test_what_is_committed_is_what_there_is() -> None:
    made = json.loads(json.dumps(description()))
    assert json.loads(COMMITTED.read_text()) == made, "make openapi, and look at what changed"


def test_every_event_is_on_a_channel_and_every_reference_leads_somewhere() -> None:
    document = description()
    told = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert told == {name_of(one) for some in EVENTS.values() for one in some} == set(document["components"]["messages"])
    text = json.dumps(document)
    for part in text.split('"$ref": "#/')[1:]:
        place: Any = document
        for step in part.partition('"')[0].split("/"):
            place = place[step]


def _changed(change: Any) -> list[str]:
    before, after = description(), json.loads(json.dumps(description()))
    change(after["components"])
    return breaking(_as_answers(before), _as_answers(after))


def test_a_new_optional_field_breaks_nobody() -> None:
    def change(components: Any) -> None:
        components["schemas"]["OrderPlaced"]["properties"]["channel"] = {"type": "string", "default": ""}

    assert _changed(change) == []


@pytest.mark.parametrize("field", ["amount", "currency"])
def test_a_field_that_is_gone_breaks_somebody(field: str) -> None:
    def change(components: Any) -> None:
        del components["schemas"]["OrderPlaced"]["properties"][field]
        components["schemas"]["OrderPlaced"]["required"].remove(field)

    assert _changed(change) != []


def test_a_type_that_is_gone_breaks_somebody() -> None:
    assert _changed(lambda components: components["messages"].pop("OrderPlaced.1")) != []


class Sold(Message, tag="Sold/1", frozen=True):
    """As a consumer of today knows it."""

    amount: int


class SoldLater(Message, tag="Sold/1", frozen=True):
    """As it is told one day."""

    amount: int
    channel: str = "web"


def test_a_consumer_of_before_reads_what_has_grown() -> None:
    sent = to_kafka(Happened(1, "order", "o", 1, 0, 0, msgspec.msgpack.encode(SoldLater(3, "app"))))
    assert b"app" in sent.value
    found = from_kafka(1, sent.headers, sent.value, sent.at)
    assert Types({"order": (Sold,)}).decode(found) == Sold(3)


def test_a_version_that_a_consumer_does_not_know_is_passed_over() -> None:
    event = msgspec.msgpack.encode({"type": "Sold/2", "total": 3})
    assert Types({"order": (Sold,)}).decode(Happened(1, "order", "o", 1, 0, 0, event)) is None


def test_examples_of_real_events_are_as_described() -> None:
    """The order of the tests of CloudEvents, as Kafka has it."""
    from tests.unit.test_cloud_events import HAPPENED, PLACED

    document = description()
    schema = {
        **document["components"]["messages"][name_of(type(PLACED))]["payload"],
        "components": document["components"],
    }
    told = json.loads(to_kafka(HAPPENED).value)
    assert told["type"] == tag_of(type(PLACED))
    jsonschema.validate(told, schema)
