"""Sessions over HTTP, and the keys that their tokens are verified with."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from serve.gateway.keys import Keys
from serve.gateway.rate_limits import Limit
from serve.users.callers import Arriving, User, problems_of
from serve.users.schemas import JwksBody, LogIn, Refresh, SessionBody, SessionList
from serve.users.sessions import Sessions

SESSION_LIMITS = {
    ("POST", "/api/users/sessions"): Limit("log-in", per_minute=120, burst=60),
    ("POST", "/api/users/sessions/refresh"): Limit("refresh", per_minute=240, burst=120),
}
"""For the front: an address may try these less often than the rest."""


def session_routes(sessions: Sessions, keys: Keys) -> APIRouter:
    """Log in, refresh, log out."""
    routes = APIRouter(tags=["users"])

    @routes.post(
        "/api/users/sessions",
        status_code=201,
        summary="Log in",
        responses=problems_of(_401="`wrong_credentials`", _429="`rate_limited`: too many failed attempts, or requests"),
    )
    async def log_in(body: LogIn, arrival: Arriving, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await sessions.log_in(body, arrival)

    @routes.post(
        "/api/users/sessions/refresh",
        summary="Exchange a refresh token",
        description="An exchanged token that comes again ends the session, but for a repetition within ten seconds.",
        responses=problems_of(_401="`invalid_token`: log in again"),
    )
    async def refresh(body: Refresh, arrival: Arriving, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await sessions.refresh(body.refresh_token, arrival)

    @routes.get(
        "/api/users/sessions",
        summary="Where one is logged in",
        responses=problems_of(_401="`not_authenticated`", _403="`forbidden`"),
    )
    async def sessions_of(who: User) -> SessionList:
        return await sessions.list(who)

    @routes.delete("/api/users/sessions/current", status_code=204, summary="Log out")
    async def log_out(who: User) -> None:
        await sessions.log_out(who)

    @routes.delete("/api/users/sessions", status_code=204, summary="Log out everywhere")
    async def log_out_everywhere(who: User) -> None:
        await sessions.log_out_everywhere(who)

    @routes.delete(
        "/api/users/sessions/{id}",
        status_code=204,
        summary="End one session",
        responses=problems_of(_401="`not_authenticated`", _403="`forbidden`", _404="`not_found`"),
    )
    async def end(
        who: User, id: Annotated[str, Path(max_length=64, examples=["6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b"])]
    ) -> None:
        await sessions.end(who, id)

    @routes.get("/.well-known/jwks.json", summary="The keys that access tokens are verified with")
    async def jwks(response: Response) -> JwksBody:
        response.headers["Cache-Control"] = "public, max-age=3600"
        return JwksBody(**(await keys.ring()).jwks)

    return routes
