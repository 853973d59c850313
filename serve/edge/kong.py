"""A declarative configuration for Kong 3: services, routes, tokens, limits, sizes, CORS. No Kong was ever run on it.

A route of Kong's has a method and, as regular expressions, the paths that are alike in who may call; what the
description does not have is answered by Kong, with 404. What reads and what writes are services apart: reads may be
tried again on another node, writes never are.
"""

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization

from serve.edge.front_door import EVERYWHERE, READY_PATH, SILENT_SECONDS, STAFF, FrontDoor, Operation, Service
from serve.gateway import browsers
from serve.gateway.keys import KeyRing
from serve.gateway.tokens import GUEST_KID

Json = dict[str, Any]
USERS, GUESTS = "users", "guests"


class _Group(NamedTuple):
    """Operations that are one route."""

    method: str
    limit: str
    has_token: bool


def configuration(door: FrontDoor, ring: KeyRing) -> Json:
    """The whole file's content. It has the guests' secret in it, and no private key."""
    return {
        "_format_version": "3.0",
        "_transform": True,
        "upstreams": [_upstream(service) for service in (door.service(EVERYWHERE), *door.apart)],
        "services": [one for service in door.services for one in _services(door, service)],
        "consumers": list(_consumers(ring)),
        "plugins": list(_plugins(door)),
    }


def _upstream(service: Service) -> Json:
    return {
        "name": _upstream_name(service.name),
        "algorithm": "least-connections",
        "targets": [{"target": str(node), "weight": 100} for node in service.nodes],
        "healthchecks": {
            "active": {
                "type": "http",
                "http_path": READY_PATH,
                "timeout": 5,
                "healthy": {"interval": 1, "successes": 1, "http_statuses": [200]},
                "unhealthy": {
                    "interval": 1,
                    "tcp_failures": 1,
                    "timeouts": 2,
                    "http_failures": 1,
                    "http_statuses": [500, 503],
                },
            }
        },
    }


def _upstream_name(service: str) -> str:
    return f"troupe-{service}"


def _services(door: FrontDoor, service: Service) -> Iterable[Json]:
    for reads in (True, False):
        routes = list(_routes(door, service, reads))
        if routes:
            yield {
                "name": f"{service.name}-{'reads' if reads else 'writes'}",
                "host": _upstream_name(service.name if service in door.apart else EVERYWHERE),
                "protocol": "http",
                "port": 80,
                "connect_timeout": 1000,
                "read_timeout": 1000 * SILENT_SECONDS,
                "write_timeout": 1000 * SILENT_SECONDS,
                "retries": 2 if reads else 0,
                "routes": routes,
            }


def _routes(door: FrontDoor, service: Service, reads: bool) -> Iterable[Json]:
    groups: dict[_Group, list[str]] = {}
    for one in door.operations:
        if one.service == service.name and (one.method == "GET") == reads:
            groups.setdefault(_group(one), []).append(f"~{one.pattern}$")
    if reads and service.name == EVERYWHERE:
        groups[_Group("GET", "read", False)] = [f"~{start}$" for start in service.starts if not start.startswith(STAFF)]
    for group, paths in groups.items():
        methods = ["GET", "HEAD"] if reads else [group.method]
        name = f"{service.name}-{group.method.lower()}-{group.limit}-{'token' if group.has_token else 'open'}"
        yield _route(name, methods, paths, list(_of_route(door, group)))
    if reads and door.origins:
        # Pages of other origins ask before they call, without a token; the plugin for CORS answers.
        yield _route(f"{service.name}-preflight", ["OPTIONS"], list(service.starts), [])


def _route(name: str, methods: list[str], paths: list[str], plugins: list[Json]) -> Json:
    return {
        "name": name,
        "methods": methods,
        "paths": paths,
        "strip_path": False,
        "preserve_host": True,
        "response_buffering": False,  # streams come as they are sent
        "plugins": plugins,
    }


def _group(operation: Operation) -> _Group:
    if operation.access == "staff":
        return _Group(operation.method, "staff", True)
    limit = "read" if operation.method == "GET" else "write"
    return _Group(operation.method, limit, operation.access == "token")


def _of_route(door: FrontDoor, group: _Group) -> Iterable[Json]:
    limit = next((one for one in door.limits if one.group == group.limit), None)
    if limit is not None:
        config = {"minute": limit.per_minute, "limit_by": "ip", "policy": "local", "hide_client_headers": True}
        yield {"name": "rate-limiting", "config": config}
    if group.has_token:
        yield {
            "name": "jwt",
            "config": {
                "key_claim_name": "kid",
                "claims_to_verify": ["exp"],
                "secret_is_base64": True,
                "header_names": ["authorization"],
                "uri_param_names": [],  # otherwise a token in the address would do, and end in logs
                "cookie_names": [],
                "run_on_preflight": False,
            },
        }
    if group.limit == "staff":
        yield {"name": "acl", "config": {"allow": [USERS], "hide_groups_header": True}}


def _consumers(ring: KeyRing) -> Iterable[Json]:
    form, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pems = {kid: key.public_bytes(form, kind).decode("ascii") for kid, key in ring.verifying.items()}
    users = [{"key": kid, "algorithm": "RS256", "rsa_public_key": pem} for kid, pem in sorted(pems.items())]
    yield {"username": USERS, "acls": [{"group": USERS}], "jwt_secrets": users}
    secret = base64.b64encode(ring.guest_secret).decode("ascii")
    yield {"username": GUESTS, "jwt_secrets": [{"key": GUEST_KID, "algorithm": "HS256", "secret": secret}]}


def _plugins(door: FrontDoor) -> Iterable[Json]:
    yield {
        "name": "request-size-limiting",
        "config": {"allowed_payload_size": door.max_body, "size_unit": "bytes", "require_content_length": False},
    }
    if door.origins:
        yield {
            "name": "cors",
            "config": {
                "origins": list(door.origins),
                "methods": [*_words(browsers.METHODS), "OPTIONS"],
                "headers": _words(browsers.SENT),
                "exposed_headers": _words(browsers.EXPOSED),
                "credentials": False,
                "max_age": int(browsers.PREFLIGHT_SECONDS),
                "preflight_continue": False,
            },
        }


def _words(listed: bytes) -> list[str]:
    return listed.decode("ascii").split(", ")
