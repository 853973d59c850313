"""The rows of a read model, by key: their digests, the rows themselves, and other rows in their place.

Digests and keys are kept in memory, some 200 bytes a key. All of it blocks.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Select, select

from serve.databases import pages
from serve.rebuilding.models import Part, ReadModel, Row

AT_ONCE = 500
_SIZE = 16

Digests = dict[str, int]
"""Of each key: of all its rows, in whatever order they are."""

_encode = msgspec.msgpack.Encoder(order="sorted").encode


class Found(NamedTuple):
    """A row and the table that it is in."""

    part: Part
    row: Row

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.part.table.name, *(self.row[column.name] for column in self.part.table.primary_key.columns))


def digests(model: ReadModel, there: Engine, accounts: Engine, keys: Collection[str] | None = None) -> Digests:
    """Of some keys, or of all. `accounts`: the shop's own database, which says what may last."""
    found: Digests = {}
    reading = there.execution_options(writes=False)
    with reading.connect() as rows, accounts.execution_options(writes=False).connect() as asked:
        for one in _rows(model, rows, asked if there is not accounts else None, keys):
            key = str(one.row[one.part.about.name])
            found[key] = found.get(key, 0) ^ _digest(one)
    return found


def rows_of(model: ReadModel, connection: Connection, keys: Sequence[str], *, lock: bool = False) -> list[Found]:
    """`lock`: nobody else changes those that are there until the transaction ends."""
    found = []
    for part in model.parts:
        query = _query(model, part, keys)
        rows = connection.execute(query.with_for_update() if lock else query).mappings()
        found += [Found(part, dict(row)) for row in rows]
    return found


def put(model: ReadModel, connection: Connection, keys: Sequence[str], rows: Sequence[Found]) -> None:
    """These rows are all that there is of the keys from now on."""
    for part in model.parts:
        delete = part.table.delete().where(part.about.in_(keys))
        connection.execute(delete if not _narrows(model, part) else delete.where(model.only))  # type: ignore[arg-type]
        new = [dict(one.row) for one in rows if one.part is part]
        if new:
            connection.execute(part.table.insert(), new)


def by_key(found: Sequence[Found]) -> dict[str, list[Found]]:
    rows: dict[str, list[Found]] = {}
    for one in found:
        rows.setdefault(str(one.row[one.part.about.name]), []).append(one)
    return rows


def digest_of(found: Sequence[Found]) -> int:
    """0: there is no row."""
    total = 0
    for one in found:
        total ^= _digest(one)
    return total


def checksum(found: Mapping[str, int]) -> str:
    """Of all that was found."""
    total = blake2b(digest_size=_SIZE)
    for key in sorted(found):
        total.update(_encode((key, found[key].to_bytes(_SIZE, "big"))))
    return total.hexdigest()


def lasting(model: ReadModel, connection: Connection, found: Sequence[Found], *, locked: bool) -> list[Found]:
    """Those that may be there, by the shop's own database."""
    kept = []
    for part in model.parts:
        rows = [one.row for one in found if one.part is part]
        kept += [Found(part, row) for row in (model.lasting(connection, rows, locked=locked) if rows else ())]
    return kept


def _digest(one: Found) -> int:
    told = _encode((str(one.part.table.name), [one.row[column.name] for column in one.part.table.columns]))
    return int.from_bytes(blake2b(told, digest_size=_SIZE).digest(), "big")


def _rows(
    model: ReadModel, rows: Connection, asked: Connection | None, keys: Collection[str] | None
) -> Iterator[Found]:
    wanted = [None] if keys is None else _pieces(sorted(keys))
    for some in wanted:
        for part in model.parts:
            for page in pages(rows, _query(model, part, some), AT_ONCE):
                found = [Found(part, row) for row in page]
                yield from found if asked is None else lasting(model, asked, found, locked=False)


def _query(model: ReadModel, part: Part, keys: Sequence[str] | None) -> Select[Any]:
    query = select(part.table)
    if keys is not None:
        query = query.where(part.about.in_(keys))
    return query.where(model.only) if _narrows(model, part) else query  # type: ignore[arg-type]


def _narrows(model: ReadModel, part: Part) -> bool:
    return model.only is not None and part is model.parts[0]


def _pieces(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[at : at + AT_ONCE] for at in range(0, len(keys), AT_ONCE)]
