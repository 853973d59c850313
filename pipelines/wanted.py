"""Finds the events that a flow or projection wants."""

from collections.abc import Mapping
from typing import Any, Union

import msgspec

from actors.decision import Message
from pipelines.log.base import Happened


class _Tagged(msgspec.Struct):
    type: str


class Types:
    """Finds wanted events by their tag, before anything else of them is decoded."""

    def __init__(self, reads: Mapping[str, tuple[type[Message], ...]]) -> None:
        self._tag = msgspec.msgpack.Decoder(_Tagged)
        self._tags = {kind: {str(one.__struct_config__.tag) for one in types} for kind, types in reads.items()}
        self._decoders = {kind: msgspec.msgpack.Decoder(Union[types]) for kind, types in reads.items()}  # noqa: UP007

    def decode(self, happened: Happened) -> Any:
        """The event, None if the flow does not want it, or the error if it cannot be read."""
        tags = self._tags.get(happened.kind)
        if tags is None:
            return None
        try:
            wanted = self._tag.decode(happened.event).type in tags
            return self._decoders[happened.kind].decode(happened.event) if wanted else None
        except msgspec.MsgspecError as error:
            return error
