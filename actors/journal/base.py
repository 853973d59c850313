"""The journal port: where records are made durable. It is dumb on purpose; what is clever stands above it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from actors.runtime.wire import Record

ShardId = tuple[str, int]


class Key(StrEnum):
    """The unique keys of a record: by number in its shard, by version and by command of its entity."""

    SEQUENCE = "sequence"
    VERSION = "version"
    COMMAND = "command"


class Committed(NamedTuple):
    """Durable. `position` is its place in the journal as a whole, 0 where the journal keeps none."""

    position: int


class Conflict(NamedTuple):
    """Not written: another record (or this very one, written before) stands under `key`."""

    key: Key
    standing: Record


class NotWritten(NamedTuple):
    """Not written, because of an earlier record of its shard."""


class Unknown(NamedTuple):
    """Nobody can tell: the connection died while it was being written. Write the same record again."""


Outcome = Committed | Conflict | NotWritten | Unknown


class JournalUnavailable(Exception):
    """The database does not answer; nothing is known to have changed."""


class Snapshot(NamedTuple):
    """An entity's state at a version, so that what came before need not be read."""

    kind: str
    entity: str
    version: int
    state: bytes


class ShardRow(NamedTuple):
    """Who has a shard by the database's word, since which epoch, and its last checkpoint."""

    kind: str
    shard: int
    epoch: int
    owner: str
    saved: int
    checkpoint: bytes


class Lease(NamedTuple):
    """The answer to a renewal: the database's time (UTC, milliseconds) and the shards taken from this owner."""

    now: int
    revoked: tuple[tuple[str, int, int], ...]


class Logged(NamedTuple):
    """A record and its place in the journal."""

    position: int
    record: Record


class Journal(Protocol):
    """Unique are (kind, shard, seq), (kind, entity, version) and (kind, entity, command id).

    Every method but `write` raises JournalUnavailable when the database does not answer. `ordered`: each record has a
    position in the journal as a whole, and `log` goes by it.
    """

    ordered: bool = True

    async def write(self, records: Sequence[Record]) -> list[Outcome]:
        """Writes in order; of each shard a prefix: behind a record that is not committed none of its shard is."""
        ...

    async def last_records(self, shards: Sequence[ShardId]) -> dict[ShardId, Record]: ...

    async def shard_records(self, kind: str, shard: int, after: int, limit: int) -> list[Record]: ...

    async def load(self, kind: str, entity: str) -> tuple[Snapshot | None, list[Record]]:
        """The newest snapshot and all records after it, in order of version."""
        ...

    async def record_of_command(self, kind: str, entity: str, command_id: str) -> Record | None: ...

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keeps each unless a newer one is there."""
        ...

    async def shard_rows(self, shards: Sequence[ShardId]) -> dict[ShardId, ShardRow]: ...

    async def take_shards(self, rows: Sequence[ShardRow], owner: str, epochs: Sequence[int]) -> list[bool]:
        """Makes `owner` the owner of each row that is still as given (epoch and owner)."""
        ...

    async def save_checkpoints(self, rows: Sequence[ShardRow]) -> None:
        """Keeps each checkpoint whose epoch is the row's and whose count is above the row's."""
        ...

    async def renew(self, owner: str, milliseconds: int, heard: Sequence[tuple[str, int, int]]) -> Lease:
        """Prolongs the owner's lease and reads its revocations in one atomic write; drops those in `heard`."""
        ...

    async def revoke(self, owner: str, shards: Sequence[tuple[str, int, int]]) -> tuple[int, int]:
        """Tells `owner` that shards were taken (with the new epoch). Answers (now, end of its lease), milliseconds."""
        ...

    async def end_lease(self, owner: str) -> None:
        """The owner is gone for good, having released all it had."""
        ...

    async def log(self, after: int, limit: int) -> list[Logged]:
        """Committed records behind a position, in order, without gaps that could still fill.

        Raises NotImplementedError if the journal isn't `ordered`.
        """
        ...

    async def close(self) -> None: ...
