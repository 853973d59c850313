"""Accounts over HTTP: registering, the profile, the email address, the activity page, export and deletion."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Response

from serve.gateway.access import command
from serve.gateway.problems import Problem, declare
from serve.gateway.rate_limits import Limit
from serve.users.accounts import Accounts
from serve.users.callers import Caller, User, problems_of
from serve.users.schemas import (
    ActivityPage,
    Confirmation,
    Deletion,
    EmailChange,
    ExportBody,
    ProfileBody,
    ProfileChange,
    Registration,
    UserBody,
)

ACCOUNT_LIMITS = {
    ("POST", "/api/users"): Limit("register", per_minute=60, burst=60),
    ("POST", "/api/users/email-confirmations"): Limit("confirm", per_minute=30, burst=30),
    ("PATCH", "/api/users/me/email"): Limit("change-email", per_minute=30, burst=30),
}
"""For the front: an address may try these less often than the rest."""

declare("bad_cursor", 400, "The cursor is not of this list")

Command = Annotated[tuple[str | None, bytes], Depends(command)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
OfDeletion = Annotated[Deletion | None, Body(examples=[{"password": "three wet umbrellas"}])]
OfConfirmation = Annotated[Confirmation | None, Body(examples=[{"password": "three wet umbrellas"}])]
Token = Annotated[str, Path(max_length=200, description="From the mailed link.")]


def account_routes(accounts: Accounts) -> APIRouter:
    """All of them."""
    routes = APIRouter(tags=["users"])
    _add_profile(routes, accounts)
    _add_email(routes, accounts)
    _add_person(routes, accounts)
    return routes


def _add_profile(routes: APIRouter, accounts: Accounts) -> None:
    @routes.post(
        "/api/users",
        status_code=201,
        summary="Register",
        description="A link is mailed that confirms the address.",
        responses=problems_of(_409="`email_taken`", _422="`invalid_request`, `weak_password`"),
    )
    async def register(body: Registration, key: Command, _: Key = None) -> UserBody:
        return await accounts.register(body, key[0])

    @routes.get("/api/users/me", summary="The profile", responses=problems_of(_401="`not_authenticated`"))
    async def profile(who: User) -> ProfileBody:
        return await accounts.profile(who.id)

    @routes.patch(
        "/api/users/me",
        summary="Change the profile",
        responses=problems_of(_401="`not_authenticated`", _403="`wrong_credentials`", _422="`weak_password`"),
    )
    async def change(who: User, body: ProfileChange) -> ProfileBody:
        return await accounts.change_profile(who, body)


def _add_email(routes: APIRouter, accounts: Accounts) -> None:
    @routes.post(
        "/api/users/email-confirmations",
        status_code=202,
        response_class=Response,
        summary="Have the link mailed again that confirms the address",
        description="At most one a minute is mailed.",
        responses=problems_of(_401="`not_authenticated`", _409="`already_confirmed`"),
    )
    async def ask(who: User) -> None:
        await accounts.ask_for_confirmation(who)

    @routes.post(
        "/api/users/email-confirmations/{token}",
        status_code=204,
        summary="Confirm an address by the mailed link",
        description="Also a new address of an account, which changes by this. The link shows whose the mailbox is; "
        "that the account is theirs, too, is shown by its password, or by the token of a session of it.",
        responses=problems_of(
            _403="`wrong_credentials`, `password_needed`", _409="`email_taken`", _410="`link_unusable`"
        ),
    )
    async def confirm(token: Token, who: Caller, key: Command, body: OfConfirmation = None, _: Key = None) -> None:
        password = None if body is None else body.password
        await accounts.confirm_email(token, key[0], password=password, principal=who)

    @routes.patch(
        "/api/users/me/email",
        status_code=202,
        response_class=Response,
        summary="Change the email address",
        description="A link is mailed to the new address, one a minute at most. Once it is opened, the old is told.",
        responses=problems_of(
            _401="`not_authenticated`", _403="`wrong_credentials`, `password_needed`", _409="`email_taken`"
        ),
    )
    async def change(who: User, body: EmailChange) -> None:
        await accounts.change_email(who, body.email, body.password)


def _add_person(routes: APIRouter, accounts: Accounts) -> None:
    @routes.get(
        "/api/users/me/activity",
        summary="What happened to the account, newest first",
        description="Send `next` as `cursor` until it is null.",
        responses=problems_of(_400="`bad_cursor`", _401="`not_authenticated`"),
    )
    async def activity(
        who: User,
        cursor: Annotated[str | None, Query(max_length=300)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> ActivityPage:
        before = None if cursor is None else _place_of(cursor)
        found = await accounts.activity_of(who.id, before, limit + 1)
        shown = found[:limit]
        following = f"{shown[-1].at}.{shown[-1].id}" if len(found) > limit else None
        return ActivityPage(items=shown, next=following)

    @routes.get(
        "/api/users/me/export",
        summary="Everything that is known of the account",
        responses=problems_of(_401="`not_authenticated`"),
    )
    async def export(who: User, response: Response) -> ExportBody:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Disposition"] = 'attachment; filename="account.json"'
        return await accounts.export(who)

    @routes.delete(
        "/api/users/me",
        status_code=204,
        summary="Delete the account",
        description="All sessions end, and the person is forgotten everywhere. Orders stay, without names.",
        responses=problems_of(_401="`not_authenticated`", _403="`wrong_credentials`, `password_needed`"),
    )
    async def delete(who: User, body: OfDeletion = None) -> None:
        await accounts.delete(who, None if body is None else body.password)


def _place_of(cursor: str) -> tuple[int, str]:
    at, _, note = cursor.partition(".")
    if not at.isascii() or not at.isdigit() or len(at) > 18 or not note:
        raise Problem("bad_cursor", "This is not the cursor of this list.")
    return int(at), note
