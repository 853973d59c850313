"""The pages behind mailed links: who follows one sees what it does, and nothing happens before a button is pressed.

A mail program that looks at links by itself, as some do, uses none up.
"""

import asyncio
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from serve.gateway.problems import Problem
from serve.users.accounts import Accounts
from serve.users.links import LinksStore, Purpose

PREFIX = "/api/users/links"
LARGEST_FORM = 4096
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
}
TITLES: dict[Purpose, str] = {
    "confirm_email": "Confirm your address",
    "change_email": "Confirm your new address",
    "reset_password": "Set a new password",
}
LOG_IN_FIRST = "This account has no password. Log in to it in the shop, and confirm the address there."
UNUSABLE = "This link was used, has expired, or never was one. Ask for a new one in the shop."

Token = Annotated[str, Path(max_length=200)]


def link_pages(accounts: Accounts, links: LinksStore) -> APIRouter:
    """GET shows what the link is for, POST does it."""
    routes = APIRouter(prefix=PREFIX, include_in_schema=False)
    templates = Environment(
        loader=PackageLoader("serve.users"), autoescape=select_autoescape(["html"]), auto_reload=False
    )

    def page(status: int = 200, **what: str) -> HTMLResponse:
        return HTMLResponse(templates.get_template("link.html").render(what), status, HEADERS)

    def ask(purpose: Purpose, problem: str = "", status: int = 200) -> HTMLResponse:
        form = "password" if purpose == "reset_password" else "confirm"
        return page(status, title=TITLES[purpose], form=form, problem=problem)

    async def purpose_of(token: str) -> Purpose | None:
        link = await asyncio.to_thread(links.of_token, token)
        return link.purpose if link is not None and link.purpose in TITLES else None

    @routes.get("/{token}")
    async def show(token: Token) -> HTMLResponse:
        purpose = await purpose_of(token)
        if purpose is None:
            return page(404, title="No such link", text=UNUSABLE)
        if purpose != "reset_password" and not await accounts.has_password(token):
            return page(title=TITLES[purpose], text=LOG_IN_FIRST)
        return ask(purpose)

    @routes.post("/{token}")
    async def follow(token: Token, request: Request) -> HTMLResponse:
        purpose = await purpose_of(token)
        if purpose is None:
            return page(404, title="No such link", text=UNUSABLE)
        try:
            if purpose == "reset_password":
                await accounts.reset(token, await _password(request))
                return page(title="Your password is set", text="You are logged out everywhere; log in with it.")
            await accounts.confirm_email(token, password=await _password(request) or None)
            return page(title="Your address is confirmed", text="You can close this page.")
        except Problem as problem:
            if problem.code == "link_unusable":
                return page(410, title="This link cannot be used", text=UNUSABLE)
            return ask(purpose, problem.detail or problem.code, problem.status)

    return routes


async def _password(request: Request) -> str:
    body = await request.body()
    fields = parse_qs(body[:LARGEST_FORM].decode("utf-8", "replace"))
    return fields.get("password", [""])[0]
