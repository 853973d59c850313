"""Who may pass Envoy: users by the keys that the shop publishes, guests by a secret in a file beside the bootstrap."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.edge.front_door import STAFF, Access, FrontDoor, Operation
from serve.gateway.tokens import GUEST_KID, ISSUER

Json = dict[str, Any]
_USERS: Json = {"provider_name": "users"}
_GUESTS: Json = {"provider_name": "guests"}
_ASKS: dict[Access, Json | None] = {
    "open": None,
    "checked": {"requires_any": {"requirements": [_USERS, _GUESTS, {"allow_missing": {}}]}},
    "token": {"requires_any": {"requirements": [_USERS, _GUESTS]}},
    "staff": _USERS,
}


def guests_keys(secret: bytes) -> Json:
    """The key set that guests' tokens are checked with. Who has it can make guests' tokens."""
    k = base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")
    return {"keys": [{"kty": "oct", "alg": "HS256", "kid": GUEST_KID, "k": k}]}


def tokens_filter(door: FrontDoor, keys: Mapping[str, Any], seconds: int, guests_jwks: Path) -> Json:
    """`keys`: where the keys of users' tokens are fetched, beforehand and again each so many seconds.

    A key is tried with the algorithm that it is for, so a token that names another is not believed.
    """
    remote = {
        "http_uri": dict(keys),
        "cache_duration": f"{seconds}s",
        "async_fetch": {"failed_refetch_duration": "1s"},
    }
    return {
        "providers": {
            "users": {**_provider(), "remote_jwks": remote},
            "guests": {**_provider(), "local_jwks": {"filename": str(guests_jwks)}},
        },
        # Pages of other origins ask before they call, without a token.
        "bypass_cors_preflight": True,
        "rules": [*(_rule(operation) for operation in door.operations), *_others()],
    }


def _provider() -> Json:
    return {
        "issuer": ISSUER,
        # Otherwise a token in the address would do as well, and end in logs.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        # The service checks again, and knows which sessions have ended.
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": 5,
    }


def _rule(operation: Operation) -> Json:
    method = {"name": ":method", "string_match": {"safe_regex": {"regex": operation.methods}}}
    match = {"safe_regex": {"regex": operation.pattern}, "headers": [method]}
    return _asking(match, _ASKS[operation.access])


def _others() -> list[Json]:
    """What the description does not have: a 404 or 405 for anybody, but nothing of the staff's without a token."""
    return [_asking({"path_separated_prefix": STAFF}, _ASKS["staff"]), _asking({"prefix": "/"}, _ASKS["checked"])]


def _asking(match: Json, requires: Json | None) -> Json:
    return {"match": match} if requires is None else {"match": match, "requires": requires}
