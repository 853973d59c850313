"""Events as they stand in Kafka: CloudEvents 1.0 in binary mode, so that any consumer can read them.

The value is the event in JSON, the headers say what it is, the key is the entity, and the record's time is the event's.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from actors.runtime.wire import Note, Record, body_of
from pipelines.log.base import Happened

TOPICS = {
    "cart": "carts",
    "order": "orders",
    "payment": "payments",
    "stock": "stock",
    "user": "users",
    "product": "catalog",
}
"""The topic of each kind of entity; one a service."""


@dataclass(frozen=True)
class KafkaAccess:
    """How brokers are spoken to. `tls`: None is in clear. `user` empty: they ask nobody who he is."""

    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    def options(self) -> dict[str, Any]:
        """What each of aiokafka's clients takes."""
        protocol = ("SASL_" if self.user else "") + ("PLAINTEXT" if self.tls is None else "SSL")
        given: dict[str, Any] = {"security_protocol": protocol}
        if self.tls is not None:
            given["ssl_context"] = self.tls
        if self.user:
            given["sasl_mechanism"] = "SCRAM-SHA-512"
            given |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return given


class KafkaCluster(NamedTuple):
    """`servers`: host:port, with commas. `prefix`: of topics and groups, where several shops share a cluster."""

    servers: str
    prefix: str = ""
    access: KafkaAccess = KafkaAccess()

    def topic(self, kind: str) -> str:
        """Where events of this kind of entity stand. Raises KeyError for a kind without a topic."""
        return self.prefix + TOPICS[kind]

    def group(self, flow: str) -> str:
        return f"{self.prefix}troupe.{flow}"


Headers = Sequence[tuple[str, bytes]]

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode
_to_stored = msgspec.msgpack.Encoder().encode
_from_stored = msgspec.msgpack.Decoder().decode
_MEDIA_TYPE = b"application/json"


class NotAnEvent(Exception):
    """A record of a topic that is no event of ours."""


class Sent(NamedTuple):
    """A record for the topic of its kind. `at`: UTC in milliseconds."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    at: int


def events_of(record: Record, position: int = 0) -> list[Happened]:
    """What a record of a journal tells; nothing, if it is a claim or an answer without events."""
    body = body_of(record)
    if body.note is not Note.DECISION or not body.events:
        return []
    return [
        Happened(position, record.kind, record.entity, record.version, index, body.at, event)
        for index, event in enumerate(body.events)
    ]


def to_kafka(happened: Happened) -> Sent:
    """Raises KeyError for a kind without a topic."""
    topic = TOPICS[happened.kind]
    data = _from_stored(happened.event)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", happened.id.encode()),
        ("ce_source", f"/troupe/{topic}".encode()),
        ("ce_type", data["type"].encode()),
        ("ce_time", _rfc3339(happened.at)),
        ("content-type", _MEDIA_TYPE),
    ]
    return Sent(happened.entity.encode(), _to_json(data), headers, happened.at)


def from_kafka(position: int, headers: Headers, value: bytes | None, at: int) -> Happened:
    """Raises NotAnEvent."""
    text = next((value for name, value in headers if name == "ce_id"), None)
    if text is None:
        raise NotAnEvent("it has no header ce_id")
    try:
        kind, rest = text.decode().split("/", 1)
        entity, version, index = rest.rsplit("/", 2)
        event = _to_stored(_from_json(value or b""))
        return Happened(position, kind, entity, int(version), int(index), at, event)
    except (ValueError, msgspec.MsgspecError) as error:
        raise NotAnEvent(f"{text!r:.200}: {error}") from error


def _rfc3339(at: int) -> bytes:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
