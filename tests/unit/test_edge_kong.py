"""The kong.yml that `troupe gateway kong` writes, against a schema of ours and the routes of the description.

No Kong was to be had: these tests say what the file says, not what Kong makes of it.
"""

import asyncio
import base64
import re
from typing import Any

import pydantic
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization

from serve.edge.front_door import FrontDoor, Operation, node
from serve.edge.kong import configuration
from serve.gateway.keys import GivenKeys, KeyRing, Keys, new_pem
from serve.paths import PATHS
from tests.contract.edge import door_to
from tests.unit.kong_schema import Kong, Rs256, Service

SECRET = b"\xff a secret that is no text, of 32 letters or more"
ORIGIN = "https://shop.example.com"


@pytest.fixture(scope="module")
def ring() -> KeyRing:
    """Two keys: the first signs, the second verifies until its tokens have ended."""
    keys = Keys(sa.create_engine("sqlite://"), given=GivenKeys(new_pem() + new_pem(), SECRET))
    return asyncio.run(keys.ring())


def door(**given: Any) -> FrontDoor:
    orders = [node("10.0.0.3:8000"), node("[fd00::4]:8000")]
    return door_to([node("10.0.0.1:8000"), node("shop-2.example.com:8000")], {"orders": orders}, **given)


def read(made: dict[str, Any]) -> Kong:
    return Kong.model_validate(made)


def found(kong: Kong, method: str, path: str) -> list[tuple[Service, list[str]]]:
    """The services of the routes that match, and the plugins there."""
    return [
        (service, [plugin.name for plugin in route.plugins])
        for service in kong.services
        for route in service.routes
        if method in route.methods
        and any(re.fullmatch(one[1:-1], path) if one.startswith("~") else path.startswith(one) for one in route.paths)
    ]


def test_each_operation_has_one_route_with_what_it_needs(ring: KeyRing) -> None:
    front = door()
    kong = read(configuration(front, ring))

    def expected(one: Operation) -> list[str]:
        wanted = {"staff": ["jwt", "acl"], "token": ["jwt"]}.get(one.access, [])
        return ["rate-limiting", *wanted]

    wrong = {}
    for one in front.operations:
        path = re.sub(r"{\w+}", "x1", one.path)
        for method in one.methods.split("|"):
            matching = found(kong, method, path)
            names = {service.name for service, _ in matching}
            kind = "reads" if one.method == "GET" else "writes"
            if names != {f"{one.service}-{kind}"} or any(plugins != expected(one) for _, plugins in matching):
                wrong[f"{method} {path}"] = matching
    assert wrong == {}


@pytest.mark.parametrize("path", ["/metrics", "/api/health/ready", "/api/cartoons", "/api/admin/nothing", "/-/routes"])
def test_what_is_not_described_has_no_route(ring: KeyRing, path: str) -> None:
    kong = read(configuration(door(), ring))
    assert [found(kong, method, path) for method in ("GET", "POST", "DELETE")] == [[], [], []]


def test_services_know_their_nodes_and_no_write_is_tried_again(ring: KeyRing) -> None:
    kong = read(configuration(door(), ring))
    targets = {one.name: [target.target for target in one.targets] for one in kong.upstreams}
    assert targets == {
        "troupe-everywhere": ["10.0.0.1:8000", "shop-2.example.com:8000"],
        "troupe-orders": ["10.0.0.3:8000", "[fd00::4]:8000"],
    }
    assert {one.name: (one.host, one.retries) for one in kong.services if one.name.startswith(("orders", "carts"))} == {
        "carts-reads": ("troupe-everywhere", 2),
        "carts-writes": ("troupe-everywhere", 0),
        "orders-reads": ("troupe-orders", 2),
        "orders-writes": ("troupe-orders", 0),
    }
    assert {one.name.rpartition("-")[0] for one in kong.services} == {*PATHS, "everywhere"}


def test_users_have_a_credential_for_each_key_and_guests_one(ring: KeyRing) -> None:
    kong = read(configuration(door(), ring))
    users, guests = kong.consumers
    assert [one.group for one in users.acls] == ["users"]
    by_kid = {one.key: one.rsa_public_key for one in users.jwt_secrets if isinstance(one, Rs256)}
    read_back = {kid: serialization.load_pem_public_key(pem.encode()) for kid, pem in by_kid.items()}
    assert read_back == dict(ring.verifying)
    assert len(read_back) == 2
    (guest,) = guests.jwt_secrets
    assert not isinstance(guest, Rs256)
    assert (guest.key, base64.b64decode(guest.secret), guests.acls) == ("guest", SECRET, [])
    assert "PRIVATE" not in str(kong)


def test_limits_sizes_and_origins_are_those_of_the_settings(ring: KeyRing) -> None:
    made = configuration(door(rate_per_minute=7, rate_burst=1, rate_address_factor=3, max_body_bytes=2048), ring)
    kong = read(made)
    minutes = {p.config.minute for s in kong.services for r in s.routes for p in r.plugins if p.name == "rate-limiting"}
    assert minutes == {21}
    assert [(one.name, getattr(one.config, "allowed_payload_size", None)) for one in kong.plugins] == [
        ("request-size-limiting", 2048)
    ]
    kong = read(configuration(door(cors_origins=(ORIGIN,), rate_limits=False), ring))
    cors = kong.plugins[1]
    assert cors.name == "cors"
    assert (cors.config.origins, cors.config.credentials) == ([ORIGIN], False)
    assert {"Authorization", "Idempotency-Key"} <= set(cors.config.headers)
    assert [plugins for _, plugins in found(kong, "OPTIONS", "/api/orders/x1")] == [[]]
    assert {p.name for s in kong.services for r in s.routes for p in r.plugins} == {"jwt", "acl"}


def test_names_are_unique(ring: KeyRing) -> None:
    kong = read(configuration(door(cors_origins=(ORIGIN,)), ring))
    for names in ([s.name for s in kong.services], [r.name for s in kong.services for r in s.routes]):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("change", [{"_format_version": "1.1"}, {"servcies": []}, {"plugins": [{"name": "jwt"}]}])
def test_the_schema_is_strict(ring: KeyRing, change: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        read({**configuration(door(), ring), **change})
