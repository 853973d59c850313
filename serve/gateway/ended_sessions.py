"""Sessions that ended while access tokens of theirs still live: the gateway refuses those."""

from typing import Protocol


class EndedSessions(Protocol):
    """Asked at each request, so it answers from memory."""

    def __contains__(self, session: object, /) -> bool: ...


NONE_ENDED: EndedSessions = frozenset[str]()
