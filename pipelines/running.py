"""Where flows and projections run: over the databases' own logs, or over Kafka."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from pipelines.flow import Flow
from pipelines.groups import Connect, Follower, GroupRunner, Running
from pipelines.log.base import EventLog
from pipelines.log.cloud_events import KafkaCluster
from pipelines.log.kafka import consumer_of
from pipelines.progress import Progress
from pipelines.projection import Projection, ProjectionRunner
from pipelines.runner import FlowRunner

AnyFlow = Flow | Projection[Any]


class Logs(Protocol):
    """Makes what runs a flow, from the events that it reads. The progress is its owner's to close."""

    def run(self, flow: AnyFlow) -> Running:
        """Not started yet."""
        ...


class DatabaseLogs:
    """Over the logs that the databases are themselves, by kind of entity; all that a flow reads is in one of them."""

    def __init__(self, logs: Mapping[str, EventLog], progress: Progress) -> None:
        self._logs = logs
        self._progress = progress

    def run(self, flow: AnyFlow) -> Running:
        """As `Logs.run`."""
        (log,) = {id(self._logs[kind]): self._logs[kind] for kind in flow.reads}.values()
        return _follower(flow, log, self._progress)


class KafkaLogs:
    """Over Kafka: each flow is a consumer group, and has a progress for each partition, NAME@TOPIC-PARTITION."""

    def __init__(self, cluster: KafkaCluster, progress: Progress, connect: Connect = consumer_of) -> None:
        self._cluster = cluster
        self._progress = progress
        self._connect = connect

    def run(self, flow: AnyFlow) -> GroupRunner:
        """As `Logs.run`."""

        def begin(name: str, log: EventLog) -> Follower:
            return _follower(replace(flow, name=name), log, self._progress)

        return GroupRunner(self._cluster, flow.name, flow.reads, begin, self._connect)


def _follower(flow: AnyFlow, log: EventLog, progress: Progress) -> Follower:
    if isinstance(flow, Flow):
        return FlowRunner(flow, log, progress)
    return ProjectionRunner(flow, log, progress)
