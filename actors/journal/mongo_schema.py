"""What the documents of a journal in MongoDB look like, and by what they are unique."""

from typing import Any

from pymongo import ASCENDING, IndexModel

_TEXT = {"bsonType": "string"}
_NUMBER = {"bsonType": ["int", "long"], "minimum": 0}
_BYTES = {"bsonType": "binData"}


def _documents(**fields: dict[str, Any]) -> dict[str, Any]:
    return {"$jsonSchema": {"bsonType": "object", "required": sorted(fields), "properties": fields}}


def _unique(name: str, *fields: str) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], name=name, unique=True)


# A record's id is its `_id`; a shard's and a snapshot's is what it is of; a lease's is its owner.
VALIDATORS: dict[str, dict[str, Any]] = {
    "records": _documents(
        _id=_BYTES,
        kind=_TEXT,
        shard=_NUMBER,
        seq=_NUMBER,
        epoch=_NUMBER,
        entity=_TEXT,
        version=_NUMBER,
        command_id=_TEXT,
        body=_BYTES,
    ),
    "snapshots": _documents(_id=_documents(kind=_TEXT, entity=_TEXT)["$jsonSchema"], version=_NUMBER, state=_BYTES),
    "shards": _documents(
        _id=_documents(kind=_TEXT, shard=_NUMBER)["$jsonSchema"],
        epoch=_NUMBER,
        owner=_TEXT,
        saved=_NUMBER,
        checkpoint=_BYTES,
    ),
    "leases": _documents(_id=_TEXT, until=_NUMBER, now=_NUMBER, revoked={"bsonType": "array"}),
}

INDICES = [
    _unique("records_sequence", "kind", "shard", "seq"),
    _unique("records_version", "kind", "entity", "version"),
    _unique("records_command", "kind", "entity", "command_id"),
]
