"""Which host is meant for which shard."""

from collections import Counter
from itertools import pairwise

import pytest

from actors.runtime.placement import assign

KINDS = ("cart", "order", "payment", "stock")
SHARDS = [(kind, n) for kind in KINDS for n in range(64)]
HOSTS = [f"host-{n}" for n in range(70)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 64, 70])
def test_every_kind_is_spread_evenly_and_so_are_all_together(count: int) -> None:
    assigned = assign(SHARDS, HOSTS[:count], {})
    assert sorted(assigned) == sorted(SHARDS)
    of_kind = {kind: Counter(host for (k, _), host in assigned.items() if k == kind) for kind in KINDS}
    for shares in [*of_kind.values(), Counter(assigned.values())]:
        counts = [shares[host] for host in HOSTS[:count]]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_where_everything_is_as_it_should_be_nothing_moves(count: int) -> None:
    before = assign(SHARDS, HOSTS[:count], {})
    assert assign(SHARDS, HOSTS[:count], before) == before


def test_hosts_that_come_and_go_move_what_they_get_and_had() -> None:
    assigned = assign(SHARDS, HOSTS[:2], {})
    for before, after in pairwise((2, 3, 1, 4, 2)):
        moved = assign(SHARDS, HOSTS[:after], assigned)
        at_least = len(SHARDS) * abs(after - before) // max(after, before)
        changed = sum(1 for shard in SHARDS if moved[shard] != assigned[shard])
        # An odd shard of each kind may change its place as well.
        assert changed <= at_least + len(KINDS)
        assigned = moved


def test_without_hosts_nobody_has_anything() -> None:
    assert assign(SHARDS, [], {}) == {}
