"""The bounds within which a host works. Times in seconds unless the name says otherwise."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """`mailbox`: commands of shoppers that one entity may have waiting; `crowd`: that a whole host may."""

    shards: int = 64
    mailbox: int = 1000
    crowd: int = 20_000
    watchers: int = 10_000
    record_bytes: int = 4 * 2**20
    batch_records: int = 2_000
    batch_bytes: int = 16 * 2**20
    recent_commands: int = 500
    lease_ms: int = 2_000
    renewal: float = 0.5
    lost_lease: float = 3_600.0
    checkpoint: float = 5.0
    idle: float = 300.0
    snapshot_every: int = 100
    snapshot_idle: int = 20
    effect_seconds: float = 30.0
    effects_at_once: int = 256
    retry_first: float = 0.05
    retry_most: float = 15.0
    sender_age_ms: int = 80 * 24 * 3_600_000
    receiver_age_ms: int = 85 * 24 * 3_600_000
