"""What somebody without an account tries at a running shop, and what its processes show to others of the machine."""

import base64
import hashlib
import hmac
import http.client
import json
import stat
import time
from typing import Any

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from jwt import PyJWK

from serve import processes
from serve.cluster import temporary_folders
from tests.api.conftest import SECRET
from tests.api.shopping import Buyer
from tests.running import RunningShop

ADMIN = "/api/admin/hosts"
NAMES = ("X-User", "X-User-Id", "X-Forwarded-User", "Remote-User", "X-Staff", "X-Consumer-Username", "X-Roles")
CLAIMS = dict.fromkeys(NAMES, "operator")


def raw(shop: RunningShop, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """As it is written: httpx would tidy the path up."""
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=30)
    try:
        connection.putrequest("GET", path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace")
    finally:
        connection.close()


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(head: dict[str, Any], secret: bytes | None) -> str:
    now = int(time.time())
    body = {"sub": "operator", "iss": "troupe", "sid": "operator", "roles": ["staff"], "iat": now, "exp": now + 300}
    text = f"{part(json.dumps(head).encode())}.{part(json.dumps(body).encode())}"
    return f"{text}.{'' if secret is None else part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


@pytest.mark.parametrize(
    "path",
    [
        ADMIN,
        f"/{ADMIN}",
        f"{ADMIN}/",
        "/api/catalog/../admin/hosts",
        "/api/catalog/%2e%2e/admin/hosts",
        "/api/%61dmin/hosts",
        "/api/admin%2fhosts",
        "/api/admin/./hosts",
        "/API/ADMIN/HOSTS",
        "/api/admin/hosts;x=1",
        "/api/admin/hosts%00",
        "/api/admin\\hosts",
        "/../../etc/passwd",
    ],
)
def test_no_way_to_write_a_path_opens_what_is_the_staffs(shop: RunningShop, path: str) -> None:
    status, _, body = raw(shop, path, {**CLAIMS, "X-Original-URL": ADMIN, "X-HTTP-Method-Override": "PUT"})
    assert status in (400, 401, 404)
    assert "host-0" not in body


def test_forged_tokens_open_nothing(web: httpx.Client, user: Buyer) -> None:
    key = web.get("/.well-known/jwks.json").json()["keys"][0]
    public = PyJWK(key).key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    real = user.token.split(".")
    for token in (
        forged({"alg": "none", "typ": "at+jwt", "kid": key["kid"]}, None),
        forged({"alg": "HS256", "typ": "at+jwt", "kid": key["kid"]}, public),
        forged({"alg": "HS256", "typ": "guest+jwt", "kid": key["kid"]}, public),
        forged({"alg": "HS256", "typ": "at+jwt", "kid": "../../dev/null"}, b""),
        forged({"alg": "RS256", "typ": "at+jwt", "jwk": key}, b"x"),
        ".".join((real[0], forged({}, None).split(".")[1], real[2])),
    ):
        assert web.get(ADMIN, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_made_up_host_stands_in_no_answer(shop: RunningShop) -> None:
    for path in ("/api/catalog/products", "/docs", "/openapi.json", "/api/health/ready", "/nothing", "/api/orders"):
        _, headers, body = raw(shop, path, {"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in f"{headers}{body}"


def processes_of(shop: RunningShop) -> list[psutil.Process]:
    running = processes.noted(shop.settings.data_dir)
    assert running is not None
    return processes.marked(running.mark)


def test_no_process_shows_a_secret(shop: RunningShop) -> None:
    looked_at = 0
    for process in processes_of(shop):
        try:
            shown = [*process.environ().values(), *process.cmdline()]
        except psutil.Error:
            continue
        looked_at += 1
        assert [one for one in shown if SECRET in one] == []
    assert looked_at > 5


def test_other_users_of_the_machine_cannot_enter_its_folders(shop: RunningShop) -> None:
    data = shop.settings.data_dir
    folder, _ = temporary_folders(data)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (data, folder)] == [0o700, 0o700]
