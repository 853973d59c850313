"""Accounts over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header

from serve.gateway.access import command
from serve.gateway.rate_limits import Limit
from serve.users.accounts import Accounts
from serve.users.callers import User, problems_of
from serve.users.schemas import ProfileChange, Registration, UserBody

ACCOUNT_LIMITS = {("POST", "/api/users"): Limit("register", per_minute=60, burst=60)}
"""For the front: an address may try these less often than the rest."""


def account_routes(accounts: Accounts) -> APIRouter:
    """Registration and profile."""
    routes = APIRouter(tags=["users"])

    @routes.post(
        "/api/users",
        status_code=201,
        summary="Register",
        responses=problems_of(_409="`email_taken`", _422="`invalid_request`, `weak_password`"),
    )
    async def register(
        body: Registration,
        key: Annotated[tuple[str | None, bytes], Depends(command)],
        _: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> UserBody:
        return await accounts.register(body, key[0])

    @routes.get("/api/users/me", summary="The profile", responses=problems_of(_401="`not_authenticated`"))
    async def profile(who: User) -> UserBody:
        return await accounts.profile(who.id)

    @routes.patch(
        "/api/users/me",
        summary="Change the profile",
        responses=problems_of(_401="`not_authenticated`", _403="`wrong_credentials`", _422="`weak_password`"),
    )
    async def change(who: User, body: ProfileChange) -> UserBody:
        return await accounts.change_profile(who, body)

    return routes
