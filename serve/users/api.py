"""The users' routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from serve.gateway.access import command, user
from serve.gateway.keys import Keys
from serve.gateway.principals import Principal
from serve.gateway.problems import MEDIA_TYPE
from serve.gateway.rate_limits import Limit
from serve.users.schemas import JwksBody, LogIn, ProfileChange, Refresh, Registration, SessionBody, UserBody
from serve.users.service import Users

STRICT_LIMITS = {
    ("POST", "/api/users"): Limit("register", per_minute=60, burst=60),
    ("POST", "/api/users/sessions"): Limit("log-in", per_minute=120, burst=60),
    ("POST", "/api/users/sessions/refresh"): Limit("refresh", per_minute=240, burst=120),
}
"""For the front: an address may try these less often than the rest."""

User = Annotated[Principal, Depends(user)]


def _problems(**codes: str) -> dict[int | str, dict[str, Any]]:
    return {int(status[1:]): {"description": text, "content": {MEDIA_TYPE: {}}} for status, text in codes.items()}


def router(users: Users, keys: Keys) -> APIRouter:
    """Accounts, sessions, profile, and the keys that access tokens are verified with."""
    routes = APIRouter(tags=["users"])
    _add_sessions(routes, users)

    @routes.post(
        "/api/users",
        status_code=201,
        summary="Register",
        responses=_problems(_409="`email_taken`", _422="`invalid_request`, `weak_password`"),
    )
    async def register(
        body: Registration,
        key: Annotated[tuple[str | None, bytes], Depends(command)],
        _: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> UserBody:
        return await users.register(body, key[0])

    @routes.get("/api/users/me", summary="The profile", responses=_problems(_401="`not_authenticated`"))
    async def profile(who: User) -> UserBody:
        return await users.profile(who.id)

    @routes.patch(
        "/api/users/me",
        summary="Change the profile",
        responses=_problems(_401="`not_authenticated`", _403="`wrong_credentials`", _422="`weak_password`"),
    )
    async def change(who: User, body: ProfileChange) -> UserBody:
        return await users.change_profile(who, body)

    @routes.get("/.well-known/jwks.json", summary="The keys that access tokens are verified with")
    async def jwks(response: Response) -> JwksBody:
        response.headers["Cache-Control"] = "public, max-age=3600"
        return JwksBody(**(await keys.ring()).jwks)

    return routes


def _add_sessions(routes: APIRouter, users: Users) -> None:
    @routes.post(
        "/api/users/sessions",
        status_code=201,
        summary="Log in",
        responses=_problems(_401="`wrong_credentials`", _429="`rate_limited`"),
    )
    async def log_in(body: LogIn, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await users.log_in(body)

    @routes.post(
        "/api/users/sessions/refresh",
        summary="Exchange a refresh token",
        description="An exchanged token that comes again ends the session, but for a repetition within ten seconds.",
        responses=_problems(_401="`invalid_token`: log in again"),
    )
    async def refresh(body: Refresh, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await users.refresh(body.refresh_token)

    @routes.delete("/api/users/sessions/current", status_code=204, summary="Log out")
    async def log_out(who: User) -> None:
        await users.log_out(who)

    @routes.delete("/api/users/sessions", status_code=204, summary="Log out everywhere")
    async def log_out_everywhere(who: User) -> None:
        await users.log_out_everywhere(who)
