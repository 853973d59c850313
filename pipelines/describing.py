"""What the topics carry, as an AsyncAPI 3.0 description: each type of event, made from the types themselves."""

from typing import Any, get_args

import msgspec

from actors.decision import Message
from actors.kinds import KINDS
from pipelines.events import catalog, users
from pipelines.log.cloud_events import TOPICS

Json = dict[str, Any]

EVENTS: dict[str, tuple[type[Message], ...]] = {
    **{kind.name: get_args(kind.events) for kind in KINDS.values()},
    users.KIND: get_args(users.Event),
    catalog.KIND: get_args(catalog.Event),
}
"""All types of events, by kind of entity."""

_ABOUT = (
    "Everything that happens in the shop. CloudEvents 1.0 in binary mode: the value is the event in JSON, the headers "
    "say what it is, the key is the entity's id, so the events of an entity are in order. An event may come more than "
    "once; its ce_id stays the same. Within a version of a type fields are only added: ignore those that you do not "
    "know. What cannot be said so gets a new version, a type of its own."
)


def description() -> Json:
    """The whole document."""
    types = [one for some in EVENTS.values() for one in some]
    schemas, parts = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    payloads = {tag_of(one): schema for one, schema in zip(types, schemas, strict=True)}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Troupe's events", "version": "1.0.0", "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {TOPICS[kind]: _channel(kind, some) for kind, some in EVENTS.items()},
        "operations": {
            f"read_{TOPICS[kind]}": {"action": "send", "channel": {"$ref": f"#/channels/{TOPICS[kind]}"}}
            for kind in EVENTS
        },
        "components": {
            "messages": {name_of(one): _message(one, payloads[tag_of(one)]) for one in types},
            "schemas": {"Headers": _HEADERS, **parts},
        },
    }


def tag_of(event: type[Message]) -> str:
    """``OrderPlaced/1``, as it stands in ce_type and in the value."""
    return str(event.__struct_config__.tag)


def name_of(event: type[Message]) -> str:
    """``OrderPlaced.1``: the name of the message in the document."""
    return tag_of(event).replace("/", ".")


def _channel(kind: str, events: tuple[type[Message], ...]) -> Json:
    return {
        "address": TOPICS[kind],
        "description": f"What happens to entities of the kind {kind}; keyed by their ids.",
        "messages": {name_of(one): {"$ref": f"#/components/messages/{name_of(one)}"} for one in events},
    }


def _message(event: type[Message], payload: Json) -> Json:
    return {
        "name": tag_of(event),
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip().partition("\n")[0],
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": payload,
    }


_HEADERS: Json = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "KIND/ENTITY/VERSION/INDEX", "examples": ["order/0199.../4/0"]},
        "ce_source": {"type": "string", "examples": ["/troupe/orders"]},
        "ce_type": {"type": "string", "examples": ["OrderPlaced/1"]},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"const": "application/json"},
    },
}
