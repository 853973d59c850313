"""The kinds of providers: where their people are sent to, and who it is that comes back."""

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import httpx
import msgspec
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.jwk import KeySet

from serve.gateway import clock
from serve.users.social.client import calling, get_json, oauth_client
from serve.users.social.configuring import SocialProvider, is_safe

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Of ID tokens: no shared secrets, and not none."""
LEEWAY = 60
"""Seconds that a provider's clock may differ."""
_FACEBOOK_SITE = "https://www.facebook.com/v23.0"
_FACEBOOK_API = "https://graph.facebook.com/v23.0"


class Person(NamedTuple):
    """Who a provider says came back. `confirmed`: it knows that the address is theirs."""

    subject: str
    email: str | None
    confirmed: bool
    name: str


class Going(NamedTuple):
    """What binds who comes back to who went; none of it is used twice."""

    state: str
    nonce: str
    verifier: str


class Provider(Protocol):
    name: str
    label: str
    issuer: str

    async def way(self, going: Going) -> str:
        """Where to send the browser. Raises Problem `provider_unavailable` or `provider_unusable`."""

    async def person(self, code: str, going: Going) -> Person:
        """Raises Problem like `way`, and `provider_refused`."""


class _Discovered(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Configured:
    scope = ""
    auth_method = "client_secret_post"

    def __init__(
        self,
        config: SocialProvider,
        redirect_uri: str,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self.name = config.name
        self.label = config.label or config.name.title()
        self.issuer = config.issuer
        self._config = config
        self._redirect_uri = redirect_uri
        self._transport = transport
        self._now = now

    def _client(self, auth_method: str | None = None) -> Any:
        config = self._config
        return oauth_client(
            config.client_id,
            config.client_secret.get_secret_value(),
            self._redirect_uri,
            self.scope,
            self._transport,
            token_endpoint_auth_method=auth_method or self.auth_method,
        )

    async def _token(self, client: Any, endpoint: str, code: str, going: Going) -> dict[str, Any]:
        token: dict[str, Any] = await client.fetch_token(
            endpoint, grant_type="authorization_code", code=code, code_verifier=going.verifier
        )
        return token


class OidcProvider(_Configured):
    """Any provider of OpenID Connect, found by its issuer."""

    scope = "openid email profile"

    async def way(self, going: Going) -> str:
        async with calling(self.name), self._client() as client:
            found = await self._discovered(client)
            url, _ = client.create_authorization_url(
                found.authorization_endpoint, state=going.state, code_verifier=going.verifier, nonce=going.nonce
            )
        return str(url)

    async def person(self, code: str, going: Going) -> Person:
        async with calling(self.name):
            async with self._client() as plain:
                found = await self._discovered(plain)
                keys = KeySet.import_key_set(await get_json(plain, found.jwks_uri, known=False))
            basic = "client_secret_basic" in found.token_endpoint_auth_methods_supported
            async with self._client("client_secret_basic" if basic else "client_secret_post") as client:
                token = await self._token(client, found.token_endpoint, code, going)
                claims = self._verified(token, keys, going)
                if "email" not in claims and found.userinfo_endpoint:
                    more = await get_json(client, found.userinfo_endpoint)
                    if more["sub"] != claims["sub"]:
                        raise ValueError("the user info is somebody else's")
                    claims = {**claims, **more}
        return _person(claims["sub"], claims.get("email"), claims.get("email_verified") is True, claims.get("name"))

    async def _discovered(self, client: Any) -> _Discovered:
        """Each time anew: providers move and change their keys, and tell nobody."""
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = msgspec.convert(await get_json(client, address, known=False), _Discovered)
        if found.issuer != self.issuer:
            raise ValueError("the issuer is another")
        for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint):
            if endpoint and not is_safe(endpoint):
                raise ValueError("an endpoint is not encrypted")
        return found

    def _verified(self, token: dict[str, Any], keys: KeySet, going: Going) -> dict[str, Any]:
        decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
        client_id = self._config.client_id
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": client_id},
        }
        params = {"nonce": going.nonce, "client_id": client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate(now=self._now() // 1000, leeway=LEEWAY)
        return dict(claims)


class GithubProvider(_Configured):
    """OAuth 2. Which of a user's addresses are confirmed is asked for; the primary one counts."""

    scope = "read:user user:email"

    @property
    def _site(self) -> str:
        return (self._config.site or "https://github.com").rstrip("/")

    async def way(self, going: Going) -> str:
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                f"{self._site}/login/oauth/authorize", state=going.state, code_verifier=going.verifier
            )
        return str(url)

    async def person(self, code: str, going: Going) -> Person:
        api = (self._config.api or "https://api.github.com").rstrip("/")
        async with calling(self.name), self._client() as client:
            await self._token(client, f"{self._site}/login/oauth/access_token", code, going)
            user = await get_json(client, f"{api}/user")
            addresses = await get_json(client, f"{api}/user/emails")
            primary = next((one for one in addresses if one["primary"]), None)
            email = primary["email"] if primary is not None else None
            confirmed = primary is not None and primary["verified"] is True
            return _person(str(int(user["id"])), email, confirmed, user.get("name") or user.get("login"))


class FacebookProvider(_Configured):
    """OAuth 2. It does not say whether an address is confirmed, so it is not."""

    scope = "public_profile email"

    async def way(self, going: Going) -> str:
        site = (self._config.site or _FACEBOOK_SITE).rstrip("/")
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                f"{site}/dialog/oauth", state=going.state, code_verifier=going.verifier
            )
        return str(url)

    async def person(self, code: str, going: Going) -> Person:
        api = (self._config.api or _FACEBOOK_API).rstrip("/")
        secret = self._config.client_secret.get_secret_value()
        async with calling(self.name), self._client() as client:
            token = await self._token(client, f"{api}/oauth/access_token", code, going)
            # Shows that the token was not taken from somewhere else.
            proof = hmac.new(secret.encode(), token["access_token"].encode(), sha256).hexdigest()
            me = await get_json(client, f"{api}/me", fields="id,name,email", appsecret_proof=proof)
            return _person(me["id"], me.get("email"), False, me.get("name"))


def _person(subject: object, email: object, confirmed: bool, name: object) -> Person:
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ValueError("there is no usable subject")
    address = email if isinstance(email, str) and "@" in email and len(email) <= 320 else None
    shown = name.strip()[:200] if isinstance(name, str) else ""
    return Person(subject, address, confirmed and address is not None, shown)


KINDS: dict[str, type[OidcProvider] | type[GithubProvider] | type[FacebookProvider]] = {
    "oidc": OidcProvider,
    "github": GithubProvider,
    "facebook": FacebookProvider,
}


def provider_of(
    config: SocialProvider,
    redirect_uri: str,
    transport: httpx.AsyncBaseTransport | None = None,
    now: Callable[[], int] = clock.now_ms,
) -> Provider:
    return KINDS[config.kind](config, redirect_uri, transport, now)
