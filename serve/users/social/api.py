"""Social log-in over HTTP."""

from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Cookie, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from serve.gateway.problems import Problem
from serve.gateway.rate_limits import Limit
from serve.users.callers import Arriving, User, problems_of
from serve.users.devices import Arrival
from serve.users.schemas import KeepMeLoggedIn, SessionBody
from serve.users.social import journey
from serve.users.social.journey import LASTS
from serve.users.social.schemas import (
    Exchange,
    IdentityBody,
    IdentityList,
    Linked,
    ProviderBody,
    ProviderList,
    Redirection,
)
from serve.users.social.service import CODE_LASTS, Came, Social

PREFIX = "/api/users/oauth"
EXCHANGE_COOKIE = "troupe_oauth_exchange"
SOCIAL_LIMITS = {("POST", f"{PREFIX}/exchange"): Limit("log-in", per_minute=120, burst=60)}
"""For the front: an address may try these less often than the rest."""

Name = Annotated[str, Path(max_length=40, pattern="^[a-z0-9-]+$", examples=["google"])]
Text = Annotated[str | None, Query(max_length=2048)]
_PROVIDER = {"_502": "`provider_unusable`", "_503": "`provider_unavailable`"}


class _Answers:
    """Cookies and redirects. `return_url`: a page of the shop, which gets a one-time code; empty: answers are JSON."""

    def __init__(self, public_url: str, return_url: str) -> None:
        self._secure = urlsplit(public_url).scheme == "https"
        self.return_url = return_url

    def set(self, response: Response, name: str, value: str, milliseconds: int) -> None:
        response.set_cookie(
            name, value, milliseconds // 1000, path=PREFIX, secure=self._secure, httponly=True, samesite="lax"
        )
        response.headers["Cache-Control"] = "no-store"

    def drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path=PREFIX, secure=self._secure, httponly=True, samesite="lax")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"

    def back(self, **told: str) -> Response:
        mark = "&" if "?" in self.return_url else "?"
        return RedirectResponse(f"{self.return_url}{mark}{urlencode(told)}", 303)


def social_routes(social: Social, public_url: str, return_url: str = "") -> APIRouter:
    """Log in through a provider, link and unlink it."""
    routes = APIRouter(tags=["users"])
    answers = _Answers(public_url, return_url)
    _add_listing(routes, social)
    _add_beginning(routes, social, answers)
    _add_callback(routes, social, answers)

    @routes.post(
        f"{PREFIX}/exchange",
        status_code=201,
        summary="Exchange the one-time code of a social log-in",
        description="In the browser that came back with it; once, within a minute.",
        responses=problems_of(_400="`log_in_expired`"),
    )
    async def exchange(
        body: Exchange,
        arrival: Arriving,
        response: Response,
        browser: Annotated[str | None, Cookie(alias=EXCHANGE_COOKIE, max_length=128)] = None,
    ) -> SessionBody:
        made = await social.exchange(body.code, browser, arrival, body.device_token)
        answers.drop(response, EXCHANGE_COOKIE)
        return made

    return routes


def _add_listing(routes: APIRouter, social: Social) -> None:
    @routes.get(PREFIX, summary="The providers that one can log in with")
    async def providers() -> ProviderList:
        found = social.providers.values()
        return ProviderList(
            items=[ProviderBody(name=one.name, label=one.label, url=f"{PREFIX}/{one.name}") for one in found]
        )

    @routes.get(
        "/api/users/me/identities",
        summary="The providers that one's account is linked to",
        responses=problems_of(_401="`not_authenticated`", _403="`forbidden`"),
    )
    async def identities(who: User) -> IdentityList:
        found = await social.linked(who.id)
        return IdentityList(items=[IdentityBody(provider=name, linked_at=at) for name, at in found])

    @routes.delete(
        "/api/users/me/identities/{provider}",
        status_code=204,
        summary="Unlink a provider",
        responses=problems_of(_401="`not_authenticated`", _403="`forbidden`", _404="`not_found`", _409="`last_way_in`"),
    )
    async def unlink(who: User, provider: Name) -> None:
        await social.unlink(who.id, provider)


def _add_beginning(routes: APIRouter, social: Social, answers: _Answers) -> None:
    @routes.get(
        f"{PREFIX}/{{provider}}",
        status_code=302,
        response_class=RedirectResponse,
        summary="Log in with a provider",
        description="For a browser, which is sent to the provider and comes back to /callback.",
        responses=problems_of(_404="`not_found`", **_PROVIDER),
    )
    async def log_in(provider: Name, keep_me_logged_in: KeepMeLoggedIn = False) -> Response:
        url, made, cookie = await social.begin(provider, keep_me_logged_in)
        response = RedirectResponse(url, 302)
        answers.set(response, made.cookie, cookie, LASTS)
        return response

    @routes.post(
        "/api/users/me/identities/{provider}",
        summary="Link a provider to one's account",
        description="Sets a cookie; send the browser to the `url` of the answer.",
        responses=problems_of(
            _401="`not_authenticated`", _403="`forbidden`, `password_needed`", _404="`not_found`", **_PROVIDER
        ),
    )
    async def link(who: User, provider: Name, response: Response) -> Redirection:
        url, made, cookie = await social.begin(provider, who=who)
        answers.set(response, made.cookie, cookie, LASTS)
        return Redirection(url=url)


def _add_callback(routes: APIRouter, social: Social, answers: _Answers) -> None:
    @routes.get(
        f"{PREFIX}/{{provider}}/callback",
        response_model=SessionBody | Linked,
        summary="Where a provider sends the browser back to",
        description="A session; or what was linked; or, where a page of the shop is set for it, a redirect there with "
        "`code` (for /api/users/oauth/exchange), `linked` or `error`.",
        responses={
            303: {"description": "To the page that is set for it."},
            **problems_of(
                _400="`log_in_expired`",
                _401="`invalid_token`",
                _403="`provider_refused`",
                _404="`not_found`",
                _409="`account_exists`, `email_missing`, `identity_taken`",
                **_PROVIDER,
            ),
        },
    )
    async def callback(
        request: Request,
        response: Response,
        arrival: Arriving,
        provider: Name,
        state: Text = None,
        code: Text = None,
        error: Text = None,
        iss: Text = None,
    ) -> SessionBody | Linked | Response:
        came = Came(state or "", code, error, iss)
        cookie = journey.cookie_of(came.state)
        try:
            done = await _come_back(social, answers, provider, came, request.cookies.get(cookie), arrival)
        except Problem as problem:
            if not answers.return_url:
                raise
            done = answers.back(error=problem.code)
        answers.drop(done if isinstance(done, Response) else response, cookie)
        return done


async def _come_back(
    social: Social, answers: _Answers, provider: str, came: Came, cookie: str | None, arrival: Arrival
) -> SessionBody | Linked | Response:
    made, person = await social.arrived(provider, came, cookie)
    if made.user:
        await social.link(made, person)
        return answers.back(linked=provider) if answers.return_url else Linked(linked=provider)
    user = await social.user(provider, person)
    if not answers.return_url:
        return await social.open(user, provider, arrival, made.kept)
    code, browser = await social.code(user, provider, made.kept)
    response = answers.back(code=code)
    answers.set(response, EXCHANGE_COOKIE, browser, CODE_LASTS)
    return response
