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


@dataclass(frozen=True)
class Plan:
    """`seconds`: how long the faults go on. `pause`: seconds between two of them, on average.

    `haste`: people think this many times as long as they would. `commit`: the longest that half a call to the database
    takes, in seconds; the longer, the more share a commit.
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

    def without(self, fault: str) -> "Plan":
        return replace(self, faults=tuple(one for one in self.faults if one != fault))

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.hosts} hosts, {self.shards} shards a kind, {self.shoppers} shoppers, "
            f"{self.seconds:.0f} s, faults: {', '.join(self.faults) or 'none'}"
        )


def plan_of(seed: int) -> Plan:
    """Each seed has some of the faults: what never happens together hides what the others would show."""
    chance = stream(seed, "plan")
    share = chance.choice((0.0, 0.15, 0.3, 0.5, 0.8)) if seed % 10 else 0.0
    return Plan(
        seed=seed,
        faults=tuple(fault for fault in FAULTS if chance.random() < share),
        hosts=chance.choice((1, 2, 2, 3)),
        shards=chance.choice((1, 2, 3)),
        shoppers=chance.randint(3, 8),
        seconds=chance.uniform(10, 30),
        pause=chance.choice((0.4, 1.0, 3.0)),
        haste=chance.choice((0.05, 0.3, 1.0)),
        commit=chance.choice((0.002, 0.03, 0.2)),
    )
