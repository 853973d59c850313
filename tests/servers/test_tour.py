"""The tour of a shop on real servers, each of which is then asked itself, by clients that are none of the shop's."""

import asyncio
import operator
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from pymongo import MongoClient

from actors.payment_events import SessionOpened
from pipelines.flow import command_id
from pipelines.log.base import Happened
from serve.catalog.search.choosing import names_of
from serve.catalog.search.elastic_client import Access, client_of
from serve.setup_steps import set_up
from serve.tour.caller import Caller
from serve.tour.looking import Stop
from serve.tour.places import name_of
from serve.tour.trail import Trail
from serve.tour.walk import Walk
from tests.api.shopping import Buyer, Json, Staff, body
from tests.contract.own_databases import mongo_database, shop_on_mysql
from tests.contract.test_search import dropped
from tests.running import RunningShop, paused
from tests.servers import address
from tests.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(420)]
SECONDS = 60.0
T = TypeVar("T")
MUGS = ("TOUR-1", "TOUR-2", "TOUR-3")


@pytest.fixture(scope="module")
def shop() -> Iterator[RunningShop]:
    """On all five, each with a place of this test's own."""
    with shop_on_mysql() as mysql, mongo_database() as mongo:
        running = RunningShop(
            TROUPE_MYSQL_URL=mysql,
            TROUPE_MONGO_URL=mongo,
            TROUPE_REDIS_URL=address("REDIS"),
            TROUPE_KAFKA_SERVERS=address("KAFKA"),
            TROUPE_KAFKA_PREFIX=f"test-{secrets.token_hex(6)}-",
            TROUPE_KAFKA_REPLICATION="1",
            TROUPE_KAFKA_PARTITIONS="3",
            TROUPE_ELASTICSEARCH_URL=address("ELASTICSEARCH"),
        )
        set_up(running.settings, lambda _: None)
        with running, running.client() as web:
            staff = Staff(web, running.staff_token())
            for sku in MUGS:
                staff.put_product(sku, 1450, "Kitchen/Mugs", "Moss mug")
                staff.receive(sku, 100)
            eventually(lambda: len(found(web)) == len(MUGS), SECONDS)
            yield running
        asyncio.run(dropped(client_of(Access(address("ELASTICSEARCH")), SECONDS), names_of(running.settings)))


@pytest.fixture(scope="module")
def stops(shop: RunningShop) -> dict[str, Stop]:
    """By the first word of their titles; the second log is the log-out's."""
    with closing(Caller(shop.url)) as caller, closing(Trail(shop.settings)) as trail:
        walk = Walk(caller, trail, shop.staff_token, shop.settings.shipping[0].method)
        stops = list(walk.stops())
    return {stop.title.split()[0]: stop for stop in stops}


def found(web: httpx.Client) -> list[Json]:
    items: list[Json] = body(web.get("/api/catalog/search", params={"q": "moss"}))["items"]
    return items


def event_of(stop: Stop, name: str) -> Happened:
    (event,) = [event for hop in stop.hops for event in hop.record.events if name_of(event.event) == name]
    return event


def in_kafka(shop: RunningShop, topic: str, wanted: Callable[[dict[str, Any]], T]) -> T:
    """What is wanted of the records of a topic, which come by the event that each tells; once there is something."""

    async def read() -> T:
        consumer = AIOKafkaConsumer(
            shop.settings.kafka_prefix + topic,
            bootstrap_servers=address("KAFKA"),
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        known: dict[str, Any] = {}
        await consumer.start()
        try:
            async with asyncio.timeout(SECONDS):
                while not (answer := wanted(known)):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        # The first of an event that was sent twice.
                        known = {dict(record.headers)["ce_id"].decode(): record for record in records} | known
        finally:
            await consumer.stop()
        return answer

    return asyncio.run(read())


def seen(stop: Stop, name: str, shop: RunningShop, topic: str) -> Any:
    """The record in Kafka of the only such event of a stop; it stands where the tour says."""
    event = event_of(stop, name)
    record = in_kafka(shop, topic, operator.methodcaller("get", event.id))
    assert stop.places[event.id] == f"Kafka {record.topic}, partition {record.partition}, offset {record.offset}"
    assert dict(record.headers)["ce_type"] == f"{name}/1".encode()
    assert record.key == event.entity.encode()
    return record


def payment_records(shop: RunningShop, order_id: str) -> list[Any]:
    """What the journal in MySQL has of an order's payment session, in the order of its versions."""
    engine = sa.create_engine(shop.settings.database_url("journal"))
    query = "SELECT version, command_id FROM records WHERE kind = 'payment' AND entity = %s ORDER BY version"
    with engine.connect() as connection:
        rows = list(connection.exec_driver_sql(query, (order_id,)))
    engine.dispose()
    return rows


def test_hits_are_what_elasticsearch_has_itself(shop: RunningShop, stops: dict[str, Stop]) -> None:
    alias = f"{shop.settings.kafka_prefix}troupe-products-2-en"
    query = {"query": {"match": {"name_words": "moss"}}, "_source": ["version"]}
    answer = httpx.post(f"{address('ELASTICSEARCH')}/{alias}/_search", json=query, timeout=SECONDS)
    hits = answer.raise_for_status().json()["hits"]["hits"]
    assert len(hits) == len(MUGS)
    told = {(one.home, one.product, one.version) for one in stops["Search"].indexed}
    assert told == {(hit["_index"], hit["_id"], hit["_source"]["version"]) for hit in hits}
    assert stops["Search"].says == "3 products for “Moss”"


def test_the_cart_s_event_is_in_kafka_and_its_record_in_mongodb(shop: RunningShop, stops: dict[str, Stop]) -> None:
    (hop,) = stops["Put"].hops
    seen(stops["Put"], "LineAdded", shop, "carts")
    assert shop.settings.mongo_url is not None
    client: MongoClient[dict[str, Any]] = MongoClient(shop.settings.mongo_url.get_secret_value())
    with client:
        cart = {"kind": "cart", "entity": hop.record.entity, "version": hop.record.version}
        document = client.get_default_database()["records"].find_one(cart)
    assert document is not None
    assert document["command_id"] == hop.record.command_id
    assert hop.record.home == (f"in MongoDB, records of cart shard {document['shard']}, number {document['seq']}")


def test_a_placed_order_is_in_kafka_and_the_payment_follows_from_it(shop: RunningShop, stops: dict[str, Stop]) -> None:
    """The id of the command that opened the session is made of the event."""
    stop = stops["Check"]
    record = seen(stop, "OrderPlaced", shop, "orders")
    placed = event_of(stop, "OrderPlaced")
    first = payment_records(shop, placed.entity)[0]
    assert tuple(first) == (1, "c:" + command_id("open_payments", placed))
    opened = event_of(stop, "SessionOpened")
    (hop,) = [hop for hop in stop.hops if opened in hop.record.events]
    where = f"Kafka {record.topic}, partition {record.partition}, offset {record.offset}"
    assert hop.cause.how == f"open_payments read OrderPlaced at {where}"
    assert hop.record.home.startswith("in MySQL, ")
    assert hop.record.body.at >= record.timestamp
    assert "open_payments" in stop.read[placed.id]


def test_a_payment_starts_only_after_the_event(shop: RunningShop) -> None:
    """While nobody reads the event that is in Kafka, no session is there; once somebody does, it is."""
    (pipelines,) = shop.titled("ray::PipelineActor")
    at_once = {"Prefer": "respond-async"}
    with shop.client() as web:
        buyers = [Buyer(web), Buyer(web)]
        orders: list[str] = []
        with paused(pipelines):
            for buyer in buyers:
                buyer.add(MUGS[0])
                order_id = body(buyer.check_out(headers=at_once), 202)["id"]
                orders.append(order_id)
                in_kafka(shop, "orders", partial(placed_in, order_id=order_id))
            assert [payment_records(shop, order_id) for order_id in orders] == [[], []]
            assert [buyer.order(id)["status"] for buyer, id in zip(buyers, orders, strict=True)] == ["reserved"] * 2
        for buyer, order_id in zip(buyers, orders, strict=True):
            buyer.order_when(order_id, status="confirmed")
    opened = str(SessionOpened.__struct_config__.tag).encode()
    for order_id in orders:
        (event_id,) = in_kafka(shop, "orders", partial(placed_in, order_id=order_id))
        _, _, version, index = event_id.split("/")
        placed = Happened(0, "order", order_id, int(version), int(index), 0, b"")
        assert payment_records(shop, order_id)[0].command_id == "c:" + command_id("open_payments", placed)
        first = in_kafka(shop, "payments", operator.methodcaller("get", f"payment/{order_id}/1/0"))
        assert dict(first.headers)["ce_type"] == opened


def placed_in(read: dict[str, Any], order_id: str) -> list[str]:
    """The events that tell that this order was placed."""
    return [
        event_id
        for event_id, record in read.items()
        if record.key == order_id.encode() and dict(record.headers)["ce_type"] == b"OrderPlaced/1"
    ]
