"""What can happen to the servers, and what has to go on meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from deploy.servers import Server
from deploy.servers.mongo import MongoServer, primary
from deploy.servers.mongo_wire import command
from tests.running import end
from tests.servers.disks import full
from tests.servers.proxies import BLACK_HOLE, RESET, Toxic, latency
from tests.servers.stage import (
    Stage,
    behind_a_door,
    empty_redis,
    on_clusters,
    on_small_disks,
    on_stage,
    on_stripe,
)

HURT_SECONDS = 8.0
"""How long most faults last."""
SLOW_MS = 2_000
NORMAL_WITHIN = 60.0
LOOKS_AT_ITS_DISK = 60.0
"""So often MySQL looks whether there is room again."""
RESTART_SECONDS = 420.0
"""On two very busy cores Elasticsearch takes four minutes."""
DEADLINE_SECONDS = 15
LATE_SECONDS = 25.0
"""What a payment session asks of Stripe is given up after 20, and asked again."""
READING = frozenset({"order", "orders", "categories", "product", "search"})
EVERYTHING = frozenset({"new cart", "cart", "checkout", "order", "orders", "categories", "product", "search"})
GOES_ON: dict[str, frozenset[str]] = {
    "mongo": READING,
    "kafka": EVERYTHING,
    # A cart change by a shopper who has a token needs MongoDB only.
    "mysql": frozenset({"cart"}),
    "redis": EVERYTHING,
    "elasticsearch": EVERYTHING - {"search"},
}
"""What is answered as ever while a server is away, for as long as it is."""


Staging = Callable[[], AbstractContextManager[Stage]]


class Fault(NamedTuple):
    """`hurt`: it is so within. `seconds`: how long. `quick`: whether it is among those of every run of CI.

    `settings`: what the shop runs with. `ends`: what may become of an order. `normal_within`: seconds after it.
    `stage`: what it happens on. `cuts`: shoppers' own connections may break, so that they get no answer at all.
    """

    name: str
    server: str
    hurt: Callable[[Stage], AbstractContextManager[object]]
    seconds: float
    goes_on: frozenset[str]
    quick: bool = False
    settings: Mapping[str, str] = {}
    ends: frozenset[str] = frozenset({"confirmed"})
    normal_within: float = NORMAL_WITHIN
    stage: Staging = on_stage
    cuts: bool = False


def _killed(name: str) -> Callable[[Stage], AbstractContextManager[object]]:
    @contextmanager
    def hurt(stage: Stage) -> Iterator[None]:
        server = stage.servers[stage.names(name)]
        server.kill()
        yield
        server.start(RESTART_SECONDS)

    return hurt


def _disk_full(name: str) -> Callable[[Stage], AbstractContextManager[object]]:
    @contextmanager
    def hurt(stage: Stage) -> Iterator[None]:
        server = stage.servers[stage.names(name)]
        with full(server.folder):
            yield
        # MySQL waits for room; MongoDB ends itself.
        if not server.running:
            server.start(RESTART_SECONDS)

    return hurt


def _toxic(name: str, toxics: tuple[Toxic, ...]) -> Callable[[Stage], AbstractContextManager[object]]:
    def hurt(stage: Stage) -> AbstractContextManager[object]:
        assert stage.proxies is not None
        return stage.proxies.toxic(name, toxics)

    return hurt


def _troubled(trouble: Mapping[str, Any]) -> Callable[[Stage], AbstractContextManager[object]]:
    def hurt(stage: Stage) -> AbstractContextManager[object]:
        assert stage.stripe is not None
        return stage.stripe.troubled(trouble)

    return hurt


@contextmanager
def _envoy_killed(stage: Stage) -> Iterator[None]:
    assert stage.door is not None
    server = stage.door.envoy.server
    server.kill()
    yield
    server.start(RESTART_SECONDS)


@contextmanager
def _node_killed(stage: Stage) -> Iterator[None]:
    assert stage.door is not None
    stage.door.second.kill()
    yield


def _process_killed(title: str) -> Callable[[Stage], AbstractContextManager[object]]:
    @contextmanager
    def hurt(stage: Stage) -> Iterator[None]:
        (process,) = stage.shop.titled(title)
        end(process)
        yield

    return hurt


def _ses_does(**fault: object) -> Callable[[Stage], AbstractContextManager[object]]:
    @contextmanager
    def hurt(stage: Stage) -> Iterator[None]:
        assert stage.ses is not None
        stage.ses.pull("fault", fault)
        yield
        stage.ses.pull("fault")

    return hurt


@contextmanager
def _redis_emptied(stage: Stage) -> Iterator[None]:
    empty_redis(stage.shop.settings)
    yield


@contextmanager
def _stepped_down(stage: Stage) -> Iterator[None]:
    command(_primary(stage).port, {"replSetStepDown": 30, "secondaryCatchUpPeriodSecs": 10})
    yield


@contextmanager
def _primary_killed(stage: Stage) -> Iterator[None]:
    server = _primary(stage)
    server.kill()
    yield
    server.start(RESTART_SECONDS)


def _primary(stage: Stage) -> Server:
    return primary(one for one in stage.servers if isinstance(one, MongoServer))


def _of(server: str) -> list[Fault]:
    on = GOES_ON[server]
    return [
        Fault(f"{server}: kill -9 and restart", server, _killed(server), 3.0, on, quick=True),
        Fault(f"{server}: connections reset", server, _toxic(server, RESET), HURT_SECONDS, on, quick=True),
        Fault(f"{server}: black hole", server, _toxic(server, BLACK_HOLE), 2 * HURT_SECONDS, on),
        Fault(f"{server}: 2 s latency", server, _toxic(server, latency(SLOW_MS)), 2 * HURT_SECONDS, on),
    ]


FAULTS = [
    *(fault for server in GOES_ON for fault in _of(server)),
    Fault(
        "elasticsearch: away for a minute", "elasticsearch", _killed("elasticsearch"), 60.0, GOES_ON["elasticsearch"]
    ),
    Fault("redis: emptied", "redis", _redis_emptied, 1.0, EVERYTHING),
    Fault("a pipeline's process: kill -9", "", _process_killed("ray::PipelineActor"), HURT_SECONDS, EVERYTHING),
    Fault("a host's process: kill -9", "", _process_killed("ray::HostActor"), HURT_SECONDS, frozenset()),
    Fault(
        "a replica's process: kill -9", "", _process_killed("ray::ServeReplica"), HURT_SECONDS, frozenset(), cuts=True
    ),
    Fault(
        "kafka: away longer than the payment deadline",
        "kafka",
        _killed("kafka"),
        DEADLINE_SECONDS + 10,
        EVERYTHING,
        settings={"TROUPE_PAYMENT_DEADLINE_SECONDS": str(DEADLINE_SECONDS)},
        ends=frozenset({"confirmed", "cancelled"}),
    ),
]
OF_CLUSTERS = [
    Fault(
        "mongo: the primary of three steps down",
        "mongo",
        _stepped_down,
        HURT_SECONDS,
        GOES_ON["mongo"],
        stage=on_clusters,
    ),
    Fault(
        "mongo: the primary of three killed",
        "mongo",
        _primary_killed,
        HURT_SECONDS,
        GOES_ON["mongo"],
        stage=on_clusters,
    ),
    Fault(
        "kafka: one of three brokers killed", "kafka", _killed("kafka-1"), HURT_SECONDS, EVERYTHING, stage=on_clusters
    ),
]
OF_DISKS = [
    Fault(
        "mysql: its disk full",
        "mysql",
        _disk_full("mysql"),
        HURT_SECONDS,
        GOES_ON["mysql"],
        normal_within=LOOKS_AT_ITS_DISK + NORMAL_WITHIN,
        stage=on_small_disks,
    ),
    Fault("mongo: its disk full", "mongo", _disk_full("mongo"), HURT_SECONDS, GOES_ON["mongo"], stage=on_small_disks),
]
OF_STRIPE = [
    Fault(f"stripe: {name}", "stripe", hurt, seconds, EVERYTHING, stage=on_stripe)
    for name, hurt, seconds in (
        ("429 with Retry-After", _troubled({"status": 429, "retry_after": 2.0}), HURT_SECONDS),
        ("503", _troubled({"status": 503}), HURT_SECONDS),
        ("answers after the deadline", _troubled({"seconds": LATE_SECONDS}), LATE_SECONDS),
        ("black hole", _toxic("stripe", BLACK_HOLE), 2 * HURT_SECONDS),
        ("answers lost", _troubled({"lost": True}), HURT_SECONDS),
    )
]
"""A checkout goes on while its payment waits: it is answered with 202."""
AT_THE_DOOR = [
    Fault("Envoy: kill -9 and restart", "envoy", _envoy_killed, 3.0, frozenset(), stage=behind_a_door, cuts=True),
    # The last on its stage: the node stays away.
    Fault("one of two nodes behind Envoy: kill -9", "envoy", _node_killed, HURT_SECONDS, READING, stage=behind_a_door),
]
OF_MAIL = [
    Fault("ses: throttles (429)", "", _ses_does(status=429, code="TooManyRequestsException"), 20.0, EVERYTHING),
    Fault("ses: connections reset", "", _toxic("ses", RESET), 20.0, EVERYTHING),
    Fault("ses: black hole", "", _toxic("ses", BLACK_HOLE), 20.0, EVERYTHING),
    Fault("ses: answers lost", "", _ses_does(lost=True), 3.0, EVERYTHING),
]
"""Of a shop that mails through SES's interface; see test_mail.py."""
EVERY = [*FAULTS, *OF_CLUSTERS, *OF_DISKS, *OF_STRIPE, *OF_MAIL, *AT_THE_DOOR]
