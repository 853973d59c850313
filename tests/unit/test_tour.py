"""The tour shows what happened, all of it, and nothing else."""

import os
from collections.abc import Iterator, Sequence
from io import StringIO

import pytest
from rich.console import Console

from actors import order
from actors.runtime.wire import Body, SentMessage, encode
from pipelines.flow import command_id
from pipelines.log.base import Happened
from serve.tour.caller import Caller
from serve.tour.causes import Cause, Causes, Hop
from serve.tour.consumers import Reads, have_read, readers, still_to_read
from serve.tour.looking import Looking, Stop
from serve.tour.places import Place, Reached, name_of
from serve.tour.products import Indexed
from serve.tour.records import Stored
from serve.tour.show import summary, tree
from serve.tour.trail import Mail, Trail
from serve.tour.walk import Walk
from tests.api.shopping import Buyer, Staff
from tests.unit.whole_shop import WholeShop, whole_shop

PACKED = order.OrderPacked(at=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeShop]:
    with whole_shop(tmp_path_factory.mktemp("shop"), checkout_wait_seconds=10.0) as opened:
        with opened.client() as web:
            staff = Staff(web, opened.token("operator", "staff"))
            staff.put_product("MUG-1", 1450, "Kitchen/Mugs", "Moss mug")
            staff.receive("MUG-1", 100)
        yield opened


@pytest.fixture(scope="module")
def stops(shop: WholeShop) -> list[Stop]:
    caller = Caller(shop.url)
    try:
        trail = Trail(shop.settings)
        walk = Walk(caller, trail, lambda: shop.token("operator", "staff"), shop.settings.shipping[0].method)
        found = []
        with shop.client() as web:
            for stop in walk.stops():
                found.append(stop)
                # Somebody else does the same meanwhile.
                Buyer(web).buy("MUG-1")
        return found
    finally:
        caller.close()


def shown(stop: Stop) -> str:
    console = Console(width=200, file=StringIO())
    console.print(tree(1, stop))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def named(stops: list[Stop], title: str) -> Stop:
    (found,) = [stop for stop in stops if stop.title.startswith(title)]
    return found


def written(stop: Stop) -> list[tuple[str, str]]:
    """The kinds of its records, each with why it was written."""
    return [(hop.record.kind, hop.cause.how) for hop in stop.hops]


def events(stop: Stop, name: str) -> list[Happened]:
    return [event for hop in stop.hops for event in hop.record.events if name_of(event.event) == name]


def test_the_way_goes_from_registering_to_the_receipt(stops: list[Stop]) -> None:
    titles = [stop.title.split()[0] for stop in stops]
    wanted = ["Register", "Log", "Look", "Put", "Review", "Check", "Pay,", "Read", "The", "Track", "Read", "Log"]
    assert [title for title in titles if title not in ("Confirm", "Search", "Browse")] == wanted
    assert len(named(stops, "Check out").calls) in (1, 2)
    assert named(stops, "Track").says.startswith("shipped: DHL JD")


def test_a_checkout_is_followed_from_entity_to_entity_and_flow(stops: list[Stop]) -> None:
    found = written(named(stops, "Check out"))
    assert found[0] == ("cart", "the request")
    assert {("order", "Place from cart"), ("stock", "Hold from order"), ("order", "Held from stock")} <= set(found)
    stop = named(stops, "Check out")
    (event,) = events(stop, "OrderPlaced")
    assert stop.places[event.id] == f"journal {event.position}.{event.index}"
    assert ("payment", f"open_payments read OrderPlaced at {stop.places[event.id]}") in found
    assert {"open_payments", "list_orders_2"} <= set(stop.read[event.id])
    assert any(how.startswith("answer to CreateIntent") for _, how in found)


def test_a_payment_ends_in_mails_of_the_event_that_made_them(stops: list[Stop]) -> None:
    paid = named(stops, "Pay")
    confirmed = events(paid, "OrderConfirmed")
    mails = {mail.template: (mail.event_id, mail.outcome) for mail in paid.mails}
    assert mails["order_confirmation"] == mails["receipt"] == (confirmed[0].id, "sent")
    assert all(mail.file.endswith(".eml") and mail.subject for mail in paid.mails)
    text = shown(paid)
    assert "order_confirmation: sent" in text
    assert f"at journal {confirmed[0].position}" in text


def test_nothing_of_others_is_shown(stops: list[Stop], shop: WholeShop) -> None:
    """There were as many other checkouts as stops, of the same product."""
    hops = [hop for stop in stops for hop in stop.hops]
    assert len({hop.record.entity for hop in hops if hop.record.kind == "order"}) == 1
    assert len({hop.record.entity for hop in hops if hop.record.kind == "cart"}) == 1
    records = Trail(shop.settings).records()
    assert len({record.entity for record in records if record.kind == "order"}) == len(stops) + 1
    ours = next(hop.record.entity for hop in hops if hop.record.kind == "order")
    of_stock = [hop.cause.parent for hop in hops if hop.record.kind == "stock"]
    assert {parent[1] for parent in of_stock if parent} == {ours}


def test_every_stop_can_be_shown(stops: list[Stop]) -> None:
    for stop in stops:
        text = shown(stop)
        assert stop.title in text
        assert "gateway" in text
    table = summary(stops)
    assert table.row_count == len(stops)


def test_each_add_to_the_cart_is_an_event(stops: list[Stop]) -> None:
    stop = named(stops, "Put")
    (added,) = events(stop, "LineAdded")
    assert written(stop) == [("cart", "the request")]
    assert f"event LineAdded  at journal {added.position}" in shown(stop)


def test_who_accepted_the_connection_is_told_by_the_connection(stops: list[Stop], shop: WholeShop) -> None:
    """This process, which passes nothing on, so it is called no balancer."""
    called = named(stops, "Review").calls[0]
    assert called.front is not None
    assert (called.front.pid, called.front.address) == (os.getpid(), ("127.0.0.1", shop.settings.port))
    assert called.behind == ()
    assert "balancer" not in shown(named(stops, "Review"))


def test_what_reads_nothing_writes_nothing(stops: list[Stop]) -> None:
    for title in ("Look", "Review", "Track"):
        assert (named(stops, title).hops, named(stops, title).mails) == ([], [])


# Without a shop: what did not happen


def record(kind: str, entity: str, version: int, command: str, **body: object) -> Stored:
    return Stored(version, kind, entity, version, command, Body(1, **body))  # type: ignore[arg-type]


PACKS = record("order", "o1", 1, "c:c1", events=(encode(PACKED),))


def test_a_record_is_shown_only_with_a_cause() -> None:
    causes = Causes(lambda: ["open_payments"])
    causes.expect("c1")
    sends = (SentMessage("stock", "A/B", encode(PACKED)),)
    first = record("order", "o1", 1, "c:c1", sends=sends)
    assert causes.take([record("order", "o2", 1, "c:c2"), record("stock", "A/B", 1, "m:order/o2/1/0")]) == []
    assert [hop.cause.how for hop in causes.take([first])] == ["the request"]
    assert causes.waiting
    (hop,) = causes.take([record("stock", "A/B", 2, "m:order/o1/1/0"), record("stock", "A/B", 3, "m:order/o1/9/0")])
    assert hop.cause == ("OrderPacked from order", ("order", "o1", 1))
    assert not causes.waiting


def test_a_flow_is_a_cause_only_of_the_command_that_it_makes_of_the_event() -> None:
    causes = Causes(lambda: ["settle_orders"])
    causes.expect("c1")
    causes.take([PACKS])
    (event,) = PACKS.events
    theirs = "c:" + command_id("settle_orders", event._replace(version=2))
    ours = "c:" + command_id("settle_orders", event)
    found = causes.take([record("payment", "p", 1, theirs), record("payment", "p", 2, ours)])
    assert [hop.record.version for hop in found] == [2]


class InTwoJournals(Trail):
    """The last of three records is seen before the one that it follows from, and the event in Kafka later still."""

    def __init__(self) -> None:
        first, second = (SentMessage(kind, name, encode(PACKED)) for kind, name in (("cart", "u1"), ("stock", "S")))
        asked = record("order", "o1", 1, "c:c1", sends=(first,), events=(encode(PACKED),))
        late = record("cart", "u1", 1, "m:order/o1/1/0", sends=(second,))
        self._looks = [[asked, record("stock", "S", 1, "m:cart/u1/1/0")], [], [late], []]

    def skip(self, service: str) -> None: ...

    def records(self) -> list[Stored]:
        return self._looks.pop(0) if self._looks else []

    def told(self, service: str) -> list[Happened]:
        return []

    def place(self, happened: Happened) -> Place | None:
        return None if self._looks else Place("Kafka orders, partition 1, offset 7", "@orders-1", 8)

    def reached(self) -> Reached:
        return Reached({}, frozenset(), frozenset(), self.place)

    def mails_of(self, event_ids: Sequence[str]) -> list[Mail]:
        return []

    def indexed(self, skus: Sequence[str]) -> list[Indexed]:
        return []


def test_what_comes_late_is_waited_for() -> None:
    looking = Looking(InTwoJournals())
    looking.causes.expect("c1")
    stop = looking.stop("Late", [], "u1", "")
    assert written(stop) == [
        ("order", "the request"),
        ("cart", "OrderPacked from order"),
        ("stock", "OrderPacked from cart"),
    ]
    (event,) = events(stop, "OrderPacked")
    assert f"event OrderPacked  at {stop.places[event.id]}" in shown(stop)
    assert stop.places == {"order/o1/1/0": "Kafka orders, partition 1, offset 7"}


def test_over_kafka_a_flow_has_come_as_far_as_it_has_in_the_partition() -> None:
    (event,) = PACKS.events
    flows: dict[str, Reads] = {"list_orders": {"order": (order.OrderPacked,)}}

    def reached(**positions: int) -> Reached:
        place = Place("somewhere", "@orders-1", 8)
        named = {f"list_orders@orders-{n[1:]}": position for n, position in positions.items()}
        return Reached(named, frozenset(), frozenset(), lambda _: place, frozenset({"list_orders"}))

    assert have_read(event, flows, reached(p0=99, p1=8)) == ["list_orders"]
    assert still_to_read(event, flows, reached(p0=99, p1=7)) == ["list_orders"]
    assert still_to_read(event, flows, reached()) == ["list_orders"]


def test_a_flow_that_is_not_done_with_an_event_is_not_shown() -> None:
    (event,) = PACKS.events
    flows: dict[str, Reads] = {name: {"order": (order.OrderPacked,)} for name in ("send_mails", "list_orders")}
    flows["open_payments"] = {"order": (order.OrderPlaced,)}
    nobody = Reached({"send_mails": 0, "list_orders": 0}, frozenset(), frozenset())
    assert have_read(event, flows, nobody) == []
    assert set(still_to_read(event, flows, nobody)) == {"send_mails", "list_orders"}
    one = Reached({"send_mails": 0, "list_orders": 1}, frozenset(), frozenset())
    assert have_read(event, flows, one) == ["list_orders"]
    ahead = Reached({"send_mails": 0, "list_orders": 0}, frozenset({("send_mails", event.id)}), frozenset())
    assert have_read(event, flows, ahead) == ["send_mails"]
    given_up = Reached({"send_mails": 9, "list_orders": 0}, frozenset(), frozenset({("send_mails", event.id)}))
    assert have_read(event, flows, given_up) == []


def test_what_did_not_happen_is_not_printed() -> None:
    hop = Hop(PACKS, Cause("the request", None))
    (event,) = PACKS.events
    text = shown(Stop("A stop", [], [hop], [], {event.id: []}, [], ""))
    assert "event OrderPacked" in text
    assert "read by" not in text
    assert "mail" not in text
    assert "balancer" not in text


def test_every_flow_is_known_with_what_it_reads() -> None:
    found = readers()
    assert {"open_payments", "settle_orders", "list_orders_2", "show_availability", "send_mails"} <= found.keys()
    assert found["open_payments"] == {"order": (order.OrderPlaced,)}
