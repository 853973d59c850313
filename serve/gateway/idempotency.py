"""Idempotency keys: the same key from the same caller at the same route is the same command."""

import re
from hashlib import blake2b

from serve.gateway.problems import Problem

_USABLE = re.compile(r"[\x21-\x7e]{1,255}").fullmatch


def command_id(principal: str, method: str, route: str, key: str) -> str:
    """32 hex digits made from who asks, where, and the key.

    `principal` is Principal.key, `route` the template of the path. Raises Problem `bad_idempotency_key`.
    """
    if not _USABLE(key):
        raise Problem("bad_idempotency_key", "An Idempotency-Key is 1 to 255 visible ASCII characters.")
    return blake2b("\0".join((principal, method, route, key)).encode(), digest_size=16).hexdigest()


def fingerprint(body: bytes, path: str = "") -> bytes:
    """16 bytes that tell one request from another under the same key."""
    return blake2b(path.encode() + b"\0" + body, digest_size=16).digest()
