"""What a replica of the shop tells of its hosts and flows, from wherever the flows' events are."""

from pipelines import erase_people, join_guest_orders, notify_users, show_activity
from pipelines.log.outbox import OutboxLog
from pipelines.log.sql import JournalLog
from pipelines.progress import SqlProgress
from serve.behind_kafka import KafkaFlows
from serve.event_logs import cluster_of
from serve.journals import sql_journal
from serve.measures import Behind, Flows, Hosts, Measures
from serve.settings import Settings
from serve.users.store import open_engine
from serve.users.tables import outbox

OF_USERS = frozenset((erase_people.NAME, join_guest_orders.NAME, notify_users.NAME, show_activity.NAME))
"""Flows that read the users' outbox; the others read the journal."""


def of_shop(settings: Settings, hosts: Hosts) -> Measures:
    """For a process that reads the shop's databases itself."""
    progress = SqlProgress(settings.database_url("flows"))
    if settings.kafka_servers:
        over_kafka = KafkaFlows(cluster_of(settings), progress)
        return Measures(hosts, over_kafka.look, (progress, over_kafka))
    journal = sql_journal(settings)
    users = OutboxLog(open_engine(settings.database_url("users")), outbox)
    all_flows = (
        Flows(progress, JournalLog(journal), journal.end, reads=lambda flow: flow not in OF_USERS),
        Flows(progress, users, users.end, reads=OF_USERS.__contains__),
    )

    async def look() -> list[Behind]:
        return [behind for flows in all_flows for behind in await flows.look()]

    return Measures(hosts, look, (progress, journal, users))
