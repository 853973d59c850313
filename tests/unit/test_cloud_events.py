"""Events on their way through Kafka: what comes out is what went in."""

from typing import Any, get_args

import msgspec
import pytest

from actors.kinds import KINDS
from actors.order import OrderPlaced
from actors.runtime.wire import encode
from pipelines.events import catalog, users
from pipelines.log.base import Happened
from pipelines.log.cloud_events import TOPICS, KafkaCluster, NotAnEvent, from_kafka, to_kafka

PLACED = OrderPlaced(
    amount=1999,
    currency="GBP",
    method="card",
    reference="pm_card_visa",
    deadline_at=1_700_000_600_000,
    owner="user:u",
    contact_id="c",
    awaits_payment=True,
)
HAPPENED = Happened(7, "order", "o/1", 3, 1, 1_700_000_000_123, encode(PLACED))


def test_what_it_looks_like_to_anybody() -> None:
    sent = to_kafka(HAPPENED)
    assert (sent.key, sent.at) == (b"o/1", 1_700_000_000_123)
    assert KafkaCluster("h:1", "shop-").topic("order") == "shop-orders"
    assert dict(sent.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"order/o/1/3/1",
        "ce_source": b"/troupe/orders",
        "ce_type": b"OrderPlaced/1",
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "content-type": b"application/json",
    }
    told = msgspec.json.decode(sent.value)
    assert (told["type"], told["amount"], told["currency"]) == ("OrderPlaced/1", 1999, "GBP")


def test_it_comes_back_as_it_was() -> None:
    sent = to_kafka(HAPPENED)
    assert from_kafka(7, sent.headers, sent.value, sent.at) == HAPPENED


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], b"{}"),
        ([("ce_id", b"order/o/1")], b"{}"),
        ([("ce_id", b"order/o/x/1")], b"{}"),
        ([("ce_id", b"order/o/1/0")], b"{"),
        ([("ce_id", b"order/o/1/0")], None),
        ([("ce_id", b"\xff/o/1/0")], b"{}"),
    ],
)
def test_what_is_no_event_is_said_to_be_none(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    with pytest.raises(NotAnEvent):
        from_kafka(1, headers, value, 0)


def test_every_kind_has_a_topic() -> None:
    assert set(TOPICS) == {*KINDS, users.KIND, catalog.KIND}


def _all_event_types() -> list[Any]:
    of_entities = [one for kind in KINDS.values() for one in get_args(kind.events)]
    return [*of_entities, *get_args(users.Event), *get_args(catalog.Event)]


@pytest.mark.parametrize("event_type", _all_event_types(), ids=lambda one: str(one.__name__))
def test_every_type_survives_json(event_type: Any) -> None:
    """Bytes and keys that are no texts would come back as something else."""
    schema = str(msgspec.json.schema(event_type))
    assert "contentEncoding" in str(msgspec.json.schema(bytes))
    assert "contentEncoding" not in schema
