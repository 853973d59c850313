"""Sessions over HTTP, and the keys that their tokens are verified with."""

from fastapi import APIRouter, Response

from serve.gateway.keys import Keys
from serve.gateway.rate_limits import Limit
from serve.users.callers import User, problems_of
from serve.users.schemas import JwksBody, LogIn, Refresh, SessionBody
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
        responses=problems_of(_401="`wrong_credentials`", _429="`rate_limited`"),
    )
    async def log_in(body: LogIn, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await sessions.log_in(body)

    @routes.post(
        "/api/users/sessions/refresh",
        summary="Exchange a refresh token",
        description="An exchanged token that comes again ends the session, but for a repetition within ten seconds.",
        responses=problems_of(_401="`invalid_token`: log in again"),
    )
    async def refresh(body: Refresh, response: Response) -> SessionBody:
        response.headers["Cache-Control"] = "no-store"
        return await sessions.refresh(body.refresh_token)

    @routes.delete("/api/users/sessions/current", status_code=204, summary="Log out")
    async def log_out(who: User) -> None:
        await sessions.log_out(who)

    @routes.delete("/api/users/sessions", status_code=204, summary="Log out everywhere")
    async def log_out_everywhere(who: User) -> None:
        await sessions.log_out_everywhere(who)

    @routes.get("/.well-known/jwks.json", summary="The keys that access tokens are verified with")
    async def jwks(response: Response) -> JwksBody:
        response.headers["Cache-Control"] = "public, max-age=3600"
        return JwksBody(**(await keys.ring()).jwks)

    return routes
