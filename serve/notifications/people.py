"""What mails need to know of accounts, from the users' service: persons, and links to pages of the shop."""

import asyncio
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from pipelines.notify_users import MailLink, Person

_PAGES = {
    "confirm_email": "account/confirm-email",
    "change_email": "account/confirm-email",
    "reset_password": "account/new-password",
}
_TELLS_ONLY = "email_changed"


class Link(Protocol):
    """Of the users. `token`: what opens the page; empty where there is only something to tell."""

    @property
    def purpose(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def expires_at(self) -> int: ...


class Account(Protocol):
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...


class KnowsLinks(Protocol):
    async def link(self, request_id: str, /) -> Link | None: ...

    async def told(self, request_id: str, /) -> None: ...


class AccountPeople:
    """Implements `People` of the flow notify_users. `by_id` blocks; it knows no account that was deleted."""

    def __init__(self, links: KnowsLinks, by_id: Callable[[str], Account | None], shop_url: str) -> None:
        self._links = links
        self._by_id = by_id
        self._shop_url = shop_url.rstrip("/")

    async def link(self, request: str) -> MailLink | None:
        found = await self._links.link(request)
        if found is None or (found.purpose not in _PAGES and found.purpose != _TELLS_ONLY):
            return None
        page = _PAGES.get(found.purpose)
        # Behind the # it is sent to no server, so that it stands in no log and no Referer.
        url = "" if page is None else f"{self._shop_url}/{page}#{quote(found.token, safe='')}"
        return MailLink(found.email, found.name, found.language, url, found.expires_at)

    async def person(self, user_id: str) -> Person | None:
        found = await asyncio.to_thread(self._by_id, user_id)
        return None if found is None else Person(found.email, found.name, found.language)

    async def told(self, request: str) -> None:
        await self._links.told(request)
