"""Resetting a password over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response

from serve.gateway.access import command
from serve.gateway.rate_limits import Limit
from serve.users.accounts import Accounts
from serve.users.callers import problems_of
from serve.users.schemas import NewPassword, ResetRequest

RESET_LIMITS = {("POST", "/api/users/password-resets"): Limit("reset", per_minute=30, burst=30)}
"""For the front: an address may try these less often than the rest."""


def reset_routes(accounts: Accounts) -> APIRouter:
    """Asking for the link, and opening it."""
    routes = APIRouter(tags=["users"])

    @routes.post(
        "/api/users/password-resets",
        status_code=202,
        response_class=Response,
        summary="Have a link mailed that sets a new password",
        description="The answer does not tell whether the address has an account. At most one a minute is mailed.",
        responses=problems_of(_422="`invalid_request`"),
    )
    async def ask(body: ResetRequest) -> None:
        await accounts.ask_for_reset(body.email)

    @routes.post(
        "/api/users/password-resets/{token}",
        status_code=204,
        summary="Set a new password by the mailed link",
        description="Works once, and ends all sessions.",
        responses=problems_of(_410="`link_unusable`", _422="`weak_password`"),
    )
    async def reset(
        token: Annotated[str, Path(max_length=200, description="From the mailed link.")],
        body: NewPassword,
        key: Annotated[tuple[str | None, bytes], Depends(command)],
        _: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> None:
        await accounts.reset(token, body.password, key[0])

    return routes
