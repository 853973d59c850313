"""What an operator wants to see of a host."""

import os
from typing import Any

from actors.runtime.host import Host


def status(host: Host) -> dict[str, Any]:
    """Its name, its process, and what it has and does; of plain types, as it goes to other processes."""
    return {
        "name": host.name,
        "pid": os.getpid(),
        "shards": len(host.shards),
        "entities": sum(len(shard.entities) for shard in host.shards.values()),
        "open": sum(shard.owed.size for shard in host.shards.values()),
        "parked": sum(len(shard.owed.parked) for shard in host.shards.values()),
        "stuck": dict(host.delivery.stuck),
        "batches": host.committer.batches,
        "records": host.committer.records,
        "backlog": host.committer.backlog,
    }
