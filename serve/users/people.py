"""What the flows and the mails ask of accounts: whose address is whose, at the moment of use."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from pipelines.gathering import looked_up
from serve.gateway import clock
from serve.users.accounts_store import AccountsStore
from serve.users.links import Link, LinksStore
from serve.users.tables import folded


class People:
    """Implements `KnowsAddresses` and `Scrubs` of the flows. Answers may be kept nowhere."""

    def __init__(self, engine: sa.Engine, *, now: Callable[[], int] = clock.now_ms) -> None:
        self._store = AccountsStore(engine)
        self._links = LinksStore(engine)
        self._now = now
        self._confirmed = looked_up(self._find_confirmed)

    async def close(self) -> None:
        """Waits for what is being looked up."""
        await self._confirmed.close()

    async def link(self, request_id: str) -> Link | None:
        """The link of a request, for whoever mails it now. None: there is nothing to mail any more."""
        return await asyncio.to_thread(self._links.to_mail, request_id, self._now())

    async def told(self, request_id: str) -> None:
        """The old address was told that it is the old one: it is forgotten."""
        await asyncio.to_thread(self._links.told, request_id)

    async def confirmed_by_email(self, email: str) -> str | None:
        """The id of the account whose confirmed address this is."""
        return await self._confirmed.add(folded(email))

    async def confirmed_email(self, user_id: str) -> str | None:
        """None: it is not confirmed, or there is no such account (any more)."""
        user = await asyncio.to_thread(self._store.by_id, user_id)
        return user.email if user is not None and user.confirmed_at is not None else None

    async def _find_confirmed(self, emails: list[str]) -> dict[str, str]:
        # Each guest's order asks whose its address is.
        return await asyncio.to_thread(self._store.confirmed, emails)

    async def scrub(self) -> None:
        """Of what was erased nothing stands in the files. Raises ConnectionError: too busy; try again."""
        await asyncio.to_thread(self._store.scrub)
