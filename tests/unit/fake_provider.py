"""A provider of log-ins in this process: OpenID Connect, GitHub's and Facebook's OAuth 2, with faults on demand."""

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER = "https://id.example"
CLIENT_ID, CLIENT_SECRET = "the-shop", "very secret"
CALLBACK = "https://shop.example/api/users/oauth"


class FakeProvider:
    """`person`: who is logged in there. `fault` changes what it answers at a path: a callable of the usual answer."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.person: dict[str, Any] = {
            "sub": "248289761001",
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada Byron",
        }
        self.faults: dict[str, Callable[[Any], Any]] = {}
        self.in_id_token = True
        self.asked: list[str] = []
        self._now = now
        self._key = RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256", "use": "sig"})
        self._codes: dict[str, dict[str, str]] = {}
        self.transport: httpx.AsyncBaseTransport = httpx.ASGITransport(self._app())

    def consent(self, url: str) -> dict[str, str]:
        """The user says yes on the page that `url` leads to: what the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def signed(self, claims: dict[str, Any], key: RSAKey | None = None) -> str:
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key or self._key)

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def note(request: Request, call_next: Any) -> Any:
            self.asked.append(request.url.path)
            return await call_next(request)

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> Any:
            return self._answer(
                "discovery",
                {
                    "issuer": ISSUER,
                    "authorization_endpoint": f"{ISSUER}/authorize",
                    "token_endpoint": f"{ISSUER}/token",
                    "jwks_uri": f"{ISSUER}/jwks",
                    "userinfo_endpoint": f"{ISSUER}/userinfo",
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                },
            )

        @app.get("/jwks")
        async def jwks() -> Any:
            return self._answer("jwks", {"keys": [self._key.as_dict(private=False)]})

        @app.get("/userinfo")
        async def userinfo(request: Request) -> Any:
            assert request.headers["authorization"] == "Bearer token-1"
            return self._answer("userinfo", self.person)

        @app.get("/user")
        async def github_user(request: Request) -> Any:
            assert request.headers["authorization"] == "Bearer token-1"
            return self._answer("user", {"id": 583231, "login": "ada", "name": self.person["name"]})

        @app.get("/user/emails")
        async def github_emails() -> Any:
            verified = self.person["email_verified"]
            other = {"email": "other@example.com", "primary": False, "verified": True}
            return self._answer(
                "emails", [other, {"email": self.person["email"], "primary": True, "verified": verified}]
            )

        @app.get("/me")
        async def facebook_me(appsecret_proof: str) -> Any:
            assert appsecret_proof == hmac.new(CLIENT_SECRET.encode(), b"token-1", sha256).hexdigest()
            return self._answer("me", {"id": "10158", "name": self.person["name"], "email": self.person["email"]})

        for path in ("/token", "/login/oauth/access_token", "/oauth/access_token"):
            app.post(path)(self._token)
        return app

    def _answer(self, what: str, usual: Any) -> Any:
        return self.faults[what](usual) if what in self.faults else usual

    async def _token(self, request: Request) -> Any:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        known = request.headers.get("authorization") in (f"Basic {basic}", f"Basic {plain}")
        if not known and form.get("client_secret") != CLIENT_SECRET:
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form["code"], None)
        digest = sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = self._now() // 1000
        claims = {"iss": ISSUER, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked.get("nonce", "")}
        claims |= self.person if self.in_id_token else {"sub": self.person["sub"]}
        answer = {"access_token": "token-1", "token_type": "bearer", "expires_in": 300}
        token = self._answer("id_token", claims)
        answer["id_token"] = token if isinstance(token, str) else self.signed(token)
        return self._answer("token", answer)
