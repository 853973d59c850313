"""What the flows and the mails ask of accounts: whose address is whose, at the moment of use."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from pipelines.gathering import Gathering
from serve.gateway import clock
from serve.users.accounts_store import AccountsStore
from serve.users.links import Link, LinksStore
from serve.users.tables import folded

MOST_AT_ONCE = 200
"""Each guest's order asks whose its address is: those that are asked about meanwhile are looked up together."""


class People:
    """Implements `KnowsAddresses` and `Scrubs` of the flows. Answers may be kept nowhere."""

    def __init__(self, engine: sa.Engine, *, now: Callable[[], int] = clock.now_ms) -> None:
        self._store = AccountsStore(engine)
        self._links = LinksStore(engine)
        self._now = now
        self._looked_up: Gathering[str, str | None] = Gathering(self._confirmed, MOST_AT_ONCE)

    async def link(self, request_id: str) -> Link | None:
        """The link of a request, for whoever mails it now. None: there is nothing to mail any more."""
        return await asyncio.to_thread(self._links.to_mail, request_id, self._now())

    async def told(self, request_id: str) -> None:
        """The old address was told that it is the old one: it is forgotten."""
        await asyncio.to_thread(self._links.told, request_id)

    async def confirmed_by_email(self, email: str) -> str | None:
        """The id of the account whose confirmed address this is."""
        return await self._looked_up.add(folded(email))

    async def confirmed_email(self, user_id: str) -> str | None:
        """None: it is not confirmed, or there is no such account (any more)."""
        user = await asyncio.to_thread(self._store.by_id, user_id)
        return user.email if user is not None and user.confirmed_at is not None else None

    async def _confirmed(self, emails: list[str]) -> list[str | Exception | None]:
        found = await asyncio.to_thread(self._store.confirmed, emails)
        return [found.get(email) for email in emails]

    async def scrub(self) -> None:
        """Of what was erased nothing stands in the files. Raises ConnectionError: too busy; try again."""
        await asyncio.to_thread(self._store.scrub)
