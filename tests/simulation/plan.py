"""What a seed stands for: which faults there are, how hard they hit, and how many shoppers come."""

from dataclasses import dataclass, replace

from tests.simulation.entropy import stream

FAULTS = (
    "kill",
    "zombie",
    "stall",
    "stop",
    "move",
    "force",
    "partition",
    "slow_network",
    "lossy_network",
    "duplicates",
    "journal_fails",
    "journal_late",
    "journal_partial",
    "journal_slow",
    "journal_down",
    "journal_cut",
    "wall_jumps",
    "database_jumps",
    "gateway_fails",
    "gateway_down",
    "flows_die",
    "stores_fail",
    "hang_ups",
    "shuffle",
)

ON_SERVERS = (
    "stale_reads",
    "log_fails",
    "log_late",
    "log_down",
    "members_stall",
    "clients_break",
)
"""What goes wrong only with real servers: with documents, and with Kafka."""


@dataclass(frozen=True)
class Plan:
    """`seconds`: how long the faults go on. `pause`: seconds between two of them, on average.

    `haste`: people think this many times as long as they would. `commit`: the longest that half a call to the database
    takes, in seconds; the longer, the more share a commit. `servers`: not embedded, but with a journal of documents
    beside the other, a Kafka with so many `partitions` a topic, and flows in groups of so many `members`.
    """

    seed: int
    faults: tuple[str, ...]
    hosts: int
    shards: int
    shoppers: int
    seconds: float
    pause: float
    haste: float
    commit: float
    servers: bool = False
    partitions: int = 1
    members: int = 1

    def without(self, fault: str) -> "Plan":
        return replace(self, faults=tuple(one for one in self.faults if one != fault))

    def __str__(self) -> str:
        return (
            f"seed {self.seed}{self._on_servers()}: {self.hosts} hosts, {self.shards} shards a kind, "
            f"{self.shoppers} shoppers, {self.seconds:.0f} s, faults: {', '.join(self.faults) or 'none'}"
        )

    def _on_servers(self) -> str:
        return f" on servers ({self.partitions} partitions, {self.members} members)" if self.servers else ""


def plan_of(seed: int) -> Plan:
    """Each seed has some of the faults: what never happens together hides what the others would show."""
    chance = stream(seed, "plan")
    share = chance.choice((0.0, 0.15, 0.3, 0.5, 0.8)) if seed % 10 else 0.0
    faults = tuple(fault for fault in FAULTS if chance.random() < share)
    # Of a stream of their own: the embedded lives are what they are without them.
    other = stream(seed, "servers")
    servers = other.random() < 0.5
    if servers:
        faults += tuple(fault for fault in ON_SERVERS if other.random() < share)
    return Plan(
        seed=seed,
        faults=faults,
        hosts=chance.choice((1, 2, 2, 3)),
        shards=chance.choice((1, 2, 3)),
        shoppers=chance.randint(3, 8),
        seconds=chance.uniform(10, 30),
        pause=chance.choice((0.4, 1.0, 3.0)),
        haste=chance.choice((0.05, 0.3, 1.0)),
        commit=chance.choice((0.002, 0.03, 0.2)),
        servers=servers,
        partitions=other.choice((1, 1, 2)),
        members=other.choice((1, 2, 2)),
    )
