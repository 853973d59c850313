"""Flows over a real Kafka: groups that share partitions, outboxes that are relayed, topics as they must be."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError

from actors.decision import Message
from actors.journal.sql import SqlJournal
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.in_process import InProcess
from actors.runtime.wire import encode
from pipelines import groups
from pipelines.events.users import UserDeleted, UserProfileChanged
from pipelines.flow import Flow, GivenUp
from pipelines.groups import GroupRunner
from pipelines.log import cloud_events
from pipelines.log.base import Happened
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import TopicLog
from pipelines.log.outbox import OutboxLog, outbox_table, put
from pipelines.log.publishing import KafkaPublisher
from pipelines.log.topics import make_topics
from pipelines.progress import SqlProgress, Standing
from pipelines.relay_outbox import OutboxRelay
from pipelines.running import KafkaLogs
from serve.behind_kafka import KafkaFlows
from serve.measures import Behind
from tests.servers import address
from tests.unit.stage import LIMITS, Bank
from tests.unit.toy import Deposit, Moved, Toy

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

AT = 1_700_000_000_000
PARTITIONS = 4
NOWHERE = KafkaCluster("127.0.0.1:1")


@pytest.fixture
def cluster() -> KafkaCluster:
    """Topics and groups of this test alone."""
    return KafkaCluster(address("KAFKA"), f"test-{secrets.token_hex(6)}-")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SESSION_SECONDS", 2)


@pytest.fixture
async def topic(cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where users' events and those of toy accounts go in this test."""
    monkeypatch.setitem(cloud_events.TOPICS, "account", cloud_events.TOPICS["user"])
    name = cluster.topic("user")
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


@pytest.fixture
async def publisher(cluster: KafkaCluster) -> AsyncIterator[KafkaPublisher]:
    made = KafkaPublisher(cluster)
    yield made
    await made.close()


@pytest.fixture
async def progress(tmp_path: Path) -> AsyncIterator[SqlProgress]:
    made = SqlProgress(f"sqlite:///{tmp_path / 'flows.db'}")
    yield made
    await made.close()


class Heard:
    """What a flow handled, by entity, in order; `ill`: entities whose events cannot be handled."""

    def __init__(self, *types: type[Message], kind: str = "user") -> None:
        self.versions: defaultdict[str, list[int]] = defaultdict(list)
        self.ill: set[str] = set()
        self.flow = Flow(f"hear-{secrets.token_hex(6)}", {kind: types or (UserProfileChanged,)}, self._handle)

    async def _handle(self, happened: Happened, _: Any) -> None:
        if happened.entity in self.ill:
            raise GivenUp("ill on purpose")
        self.versions[happened.entity].append(happened.version)

    @property
    def count(self) -> int:
        """Without what was handled again."""
        return sum(len(set(versions)) for versions in self.versions.values())


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what it looks at tells nobody
            await asyncio.sleep(0.02)


async def _first_with_letters(progress: SqlProgress) -> Standing:
    async with asyncio.timeout(20):
        while True:
            for standing in await progress.standings():
                if standing.letters:
                    return standing
            await asyncio.sleep(0.02)


def changes(entities: range, version: int) -> list[Happened]:
    return [Happened(0, "user", f"u{n}", version, 0, AT, encode(UserProfileChanged(("name",), AT))) for n in entities]


@pytest.mark.usefixtures("topic")
async def test_a_flow_hears_each_event_of_all_partitions_in_order(
    cluster: KafkaCluster, publisher: KafkaPublisher, progress: SqlProgress
) -> None:
    heard = Heard()
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    for version in range(1, 6):
        await publisher.tell(changes(range(40), version))
    await until(lambda: heard.count == 200)
    assert dict(heard.versions) == {f"u{n}": [1, 2, 3, 4, 5] for n in range(40)}
    assert len(runner.partitions) == PARTITIONS
    await runner.stop()
    # Another incarnation goes on where this one stood.
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    await publisher.tell(changes(range(40), 6))
    await until(lambda: heard.count == 240)
    await runner.stop()
    assert dict(heard.versions) == {f"u{n}": [1, 2, 3, 4, 5, 6] for n in range(40)}


@pytest.mark.usefixtures("topic")
@pytest.mark.parametrize(
    ("part", "work"), [(GroupCoordinator, "ensure_coordinator_known"), (Fetcher, "_get_actions_per_node")]
)
async def test_a_member_whose_client_breaks_down_joins_again(
    cluster: KafkaCluster,
    publisher: KafkaPublisher,
    progress: SqlProgress,
    monkeypatch: pytest.MonkeyPatch,
    part: type[object],
    work: str,
) -> None:
    """An error that the client did not foresee ends a task within it, and the client says nothing any more."""
    heard = Heard()
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    await publisher.tell(changes(range(8), 1))
    await until(lambda: heard.count == 8)
    as_ever, broken = getattr(part, work), asyncio.Event()

    def breaks_down(self: object, *given: object) -> object:
        if broken.is_set():
            return as_ever(self, *given)
        broken.set()
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(part, work, breaks_down)
    await asyncio.wait_for(broken.wait(), 20)
    await publisher.tell(changes(range(8), 2))
    await until(lambda: heard.count == 16, 30)
    await runner.stop()


@pytest.mark.usefixtures("topic")
async def test_members_share_the_partitions_and_take_over_those_of_one_that_is_gone(
    cluster: KafkaCluster, publisher: KafkaPublisher, progress: SqlProgress
) -> None:
    heard = Heard()
    first, second = (KafkaLogs(cluster, progress).run(heard.flow) for _ in range(2))
    await first.start()
    await second.start()
    await until(lambda: len(first.partitions) == len(second.partitions) == PARTITIONS // 2)
    await publisher.tell(changes(range(40), 1))
    await until(lambda: heard.count == 40)
    await first.stop()
    await publisher.tell(changes(range(40), 2))
    await until(lambda: heard.count == 80)
    assert len(second.partitions) == PARTITIONS
    await second.stop()
    assert dict(heard.versions) == {f"u{n}": [1, 2] for n in range(40)}


@pytest.mark.usefixtures("topic")
async def test_a_member_that_dies_without_a_word_loses_nothing(
    cluster: KafkaCluster, publisher: KafkaPublisher, progress: SqlProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    dying = KafkaLogs(cluster, progress).run(heard.flow)
    await dying.start()
    await publisher.tell(changes(range(40), 1))
    await until(lambda: heard.count == 40)
    # Neither its progress nor its leaving reaches anybody.
    with monkeypatch.context() as patch:
        patch.setattr(SqlProgress, "save", _nothing)
        await dying.stop()
    next_one = KafkaLogs(cluster, progress).run(heard.flow)
    await next_one.start()
    await publisher.tell(changes(range(40), 2))
    await until(lambda: heard.count == 80)
    await next_one.stop()
    for versions in heard.versions.values():
        # What was handled before may have been handled again, and in its order.
        assert versions in ([1, 2], [1, 1, 2])


async def _nothing(*_: Any) -> None:
    pass


async def test_a_dead_letter_holds_up_its_entity_alone_and_can_be_tried_again(
    cluster: KafkaCluster, publisher: KafkaPublisher, progress: SqlProgress, topic: str
) -> None:
    heard = Heard()
    heard.ill.add("u1")
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    await publisher.tell([*changes(range(3), 1), *changes(range(3), 2)])
    await until(lambda: heard.count == 4)
    one = await _first_with_letters(progress)
    assert one.flow.startswith(f"{heard.flow.name}@{topic}-")
    heard.ill.clear()
    await progress.want_beside(one.flow, "user/u1/1/0")
    await until(lambda: heard.count == 6)
    await runner.stop()
    assert heard.versions["u1"] == [1, 2]


async def test_an_outbox_is_relayed_and_emptied(
    cluster: KafkaCluster, publisher: KafkaPublisher, topic: str, tmp_path: Path, progress: SqlProgress
) -> None:
    metadata = sa.MetaData()
    outbox = outbox_table(metadata)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'users.db'}")
    metadata.create_all(engine)
    heard = Heard(UserProfileChanged, UserDeleted)
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    relay = OutboxRelay("users", OutboxLog(engine, outbox), publisher)
    with engine.begin() as connection:
        for version in range(1, 4):
            put(connection, outbox, "user", "u", version, (UserProfileChanged(("name",), AT),), AT)
    await relay.start()
    await until(lambda: heard.versions["u"] == [1, 2, 3])
    with engine.begin() as connection:
        put(connection, outbox, "user", "u", 4, (UserDeleted(AT),), AT)
    await until(lambda: heard.versions["u"] == [1, 2, 3, 4])

    def left() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(outbox)) or 0)

    await until(lambda: left() == 0)
    await relay.stop()
    await runner.stop()
    engine.dispose()


@pytest.mark.usefixtures("topic")
async def test_what_entities_do_is_heard_by_a_flow(
    cluster: KafkaCluster, publisher: KafkaPublisher, tmp_path: Path, progress: SqlProgress
) -> None:
    journal = SqlJournal(str(tmp_path / "journal.db"))
    await journal.setup()
    entities = InProcess(Toy().kinds(), journal, SystemClock(), SystemEntropy(), LIMITS, {"account": Bank()}, publisher)
    await entities.start("h")
    heard = Heard(Moved, kind="account")
    runner: GroupRunner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    for n in range(60):
        await entities.region.ask("account", f"a{n % 20}", Deposit(1))
    await until(lambda: heard.count == 60)
    await runner.stop()
    await entities.stop()
    await journal.close()
    assert dict(heard.versions) == {f"a{n}": [1, 2, 3] for n in range(20)}


async def test_topics_are_made_once_with_their_retention(cluster: KafkaCluster) -> None:
    topics = sorted({cluster.topic(kind) for kind in cloud_events.TOPICS})
    told: list[str] = []
    await make_topics(cluster, 3, 1, told.append)
    assert sorted(told) == [f"topic {topic} made" for topic in topics]
    await make_topics(cluster, 3, 1, told.append)
    assert len(told) == len(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    try:
        found = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.topic("cart"))])
        configs = {row[0]: row[1] for row in found[0].resources[0][4]}
        assert (configs["retention.ms"], configs["min.insync.replicas"]) == ("2592000000", "1")
        described = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(topics)}
        # Who keeps a copy of the catalogue reads all of it, in one order.
        assert described == {topic: 1 if topic == cluster.topic("product") else 3 for topic in topics}
    finally:
        await admin.delete_topics(topics)
        await admin.close()


async def test_a_kafka_that_is_not_there_is_an_error_in_time() -> None:
    publisher = KafkaPublisher(NOWHERE, seconds=0.5)
    with pytest.raises(KafkaConnectionError):
        await publisher.tell(changes(range(1), 1))
    await publisher.close()
    log = TopicLog(NOWHERE, "user")
    with pytest.raises(KafkaConnectionError):
        await log.read(0, 1)
    await log.close()


@pytest.mark.usefixtures("topic")
async def test_how_far_flows_are_behind(
    cluster: KafkaCluster, publisher: KafkaPublisher, progress: SqlProgress
) -> None:
    heard = Heard()
    runner = KafkaLogs(cluster, progress).run(heard.flow)
    await runner.start()
    await publisher.tell(changes(range(40), 1))
    await until(lambda: heard.count == 40)
    await runner.stop()
    behind = KafkaFlows(cluster, progress, now=lambda: AT + 1500)
    assert await behind.look() == [Behind(heard.flow.name, 0, 0.0, 0)]
    await publisher.tell(changes(range(10), 2))
    assert await behind.look() == [Behind(heard.flow.name, 10, 1.5, 0)]
    await behind.close()
