"""What whoever writes to people is told of them, at the moment of writing."""

import asyncio

import sqlalchemy as sa

from pipelines.notify_users import MailLink, Person
from serve.users.accounts_store import AccountsStore
from serve.users.link_pages import PREFIX
from serve.users.people import People


class MailedPeople:
    """Implements `People` of the flow notify_users. `shop_url`: the shop's own address, for links."""

    def __init__(self, engine: sa.Engine, shop_url: str) -> None:
        self._people = People(engine)
        self._store = AccountsStore(engine)
        self._prefix = f"{shop_url.rstrip('/')}{PREFIX}"

    async def link(self, request: str) -> MailLink | None:
        found = await self._people.link(request)
        if found is None:
            return None
        url = f"{self._prefix}/{found.token}" if found.token else ""
        return MailLink(found.email, found.name, found.language, url, found.expires_at)

    async def person(self, user_id: str) -> Person | None:
        found = await asyncio.to_thread(self._store.by_id, user_id)
        return None if found is None else Person(found.email, found.name, found.language, found.phone or "")

    async def told(self, request: str) -> None:
        await self._people.told(request)
