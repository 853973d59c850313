"""What an operator wants to see of a host process."""

import os
from collections.abc import Sequence
from typing import Any

from actors.runtime.host import Host


def status(hosts: Sequence[Host]) -> dict[str, Any]:
    """Of the hosts of one process: its name, and what they have and do; of plain types, as it goes to others."""
    shards = [shard for host in hosts for shard in host.shards.values()]
    return {
        "name": hosts[0].name,
        "pid": os.getpid(),
        "shards": len(shards),
        "entities": sum(len(shard.entities) for shard in shards),
        "open": sum(shard.owed.size for shard in shards),
        "parked": sum(len(shard.owed.parked) for shard in shards),
        "stuck": {pair: text for host in hosts for pair, text in host.delivery.stuck.items()},
        "batches": sum(host.committer.batches for host in hosts),
        "records": sum(host.committer.records for host in hosts),
        "backlog": sum(host.committer.backlog for host in hosts),
    }
