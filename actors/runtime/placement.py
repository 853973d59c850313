"""Which host runs which shard: pure rules, so that they can be looked at and tested without a cluster."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ShardId = tuple[str, int]


class Table(NamedTuple):
    """The host of each shard. `version` grows with each change."""

    version: int
    hosts: dict[ShardId, str]


def assign(shards: Sequence[ShardId], hosts: Sequence[str], before: Mapping[ShardId, str]) -> dict[ShardId, str]:
    """Spreads shards evenly over hosts and moves no more of them than that needs. No hosts: nobody has any."""
    if not hosts:
        return {}
    most, extra = divmod(len(shards), len(hosts))
    share = {host: most + (1 if n < extra else 0) for n, host in enumerate(hosts)}
    assigned: dict[ShardId, str] = {}
    left: list[ShardId] = []
    for shard in shards:
        host = before.get(shard, "")
        if share.get(host, 0) > 0:
            share[host] -= 1
            assigned[shard] = host
        else:
            left.append(shard)
    free = [host for host in hosts for _ in range(share[host])]
    assigned.update(zip(left, free, strict=True))
    return assigned
