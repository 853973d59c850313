"""Which event log the flows of a process read: Kafka, or, without one, the databases' own."""

import ssl

from actors.kinds import KINDS
from pipelines.events import catalog, users
from pipelines.log.base import EventLog
from pipelines.log.cloud_events import KafkaAccess, KafkaCluster
from pipelines.log.kafka import TopicLog
from pipelines.log.publishing import KafkaPublisher
from pipelines.progress import SqlProgress
from pipelines.running import DatabaseLogs, KafkaLogs, Logs
from pipelines.shared_log import SharedLog
from serve.opened import Opened
from serve.settings import Settings


def logs_of(
    settings: Settings, opened: Opened, progress: SqlProgress, journal: EventLog | None, outbox: EventLog | None = None
) -> Logs:
    """`journal`, `outbox` of the users: what is read where there is no Kafka; each is read once for all flows."""
    if settings.kafka_servers:
        return KafkaLogs(cluster_of(settings), progress)
    logs: dict[str, EventLog] = {}
    if journal is not None:
        logs.update(dict.fromkeys(KINDS, opened.closing(SharedLog(journal))))
    if outbox is not None:
        logs[users.KIND] = opened.closing(SharedLog(outbox))
    return DatabaseLogs(logs, progress)


def cluster_of(settings: Settings) -> KafkaCluster:
    password = settings.kafka_password.get_secret_value() if settings.kafka_password is not None else ""
    tls = settings.tls
    context = tls.context() if tls is not None else ssl.create_default_context() if settings.kafka_tls else None
    access = KafkaAccess(context, settings.kafka_user, password)
    return KafkaCluster(settings.kafka_servers, settings.kafka_prefix, access)


def catalog_log(settings: Settings) -> TopicLog | None:
    """All that the catalogue told, in one order; None: its outbox is the log."""
    return TopicLog(cluster_of(settings), catalog.KIND) if settings.kafka_servers else None


def publisher_of(settings: Settings) -> KafkaPublisher | None:
    """None: what happened is read where it was written."""
    return KafkaPublisher(cluster_of(settings)) if settings.kafka_servers else None
