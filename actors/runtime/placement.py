"""Which host runs which shard: pure rules, so that they can be looked at and tested without a cluster."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ShardId = tuple[str, int]


class Table(NamedTuple):
    """The host of each shard. `version` grows with each change."""

    version: int
    hosts: dict[ShardId, str]


def assign(shards: Sequence[ShardId], hosts: Sequence[str], before: Mapping[ShardId, str]) -> dict[ShardId, str]:
    """Spreads the shards of each kind evenly, since kinds are not equally busy, and so all of them.

    It moves no more of them than that needs. No hosts: nobody has any.
    """
    if not hosts:
        return {}
    of_kind: dict[str, list[ShardId]] = {}
    for shard in shards:
        of_kind.setdefault(shard[0], []).append(shard)
    assigned: dict[ShardId, str] = {}
    first = 0
    for some in of_kind.values():
        # Where one kind's odd shards end the next one's begin, so that the sums are even, too.
        in_turn = [*hosts[first:], *hosts[:first]]
        assigned.update(_spread(some, in_turn, before))
        first = (first + len(some)) % len(hosts)
    return assigned


def _spread(shards: Sequence[ShardId], hosts: Sequence[str], before: Mapping[ShardId, str]) -> dict[ShardId, str]:
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
