"""A catalogue alone behind the gateway's front, for the tests of its routes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from serve.catalog.api import catalog_routes
from serve.catalog.service import Catalog
from serve.gateway.front import Front
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem

STAFF = {"Authorization": "Bearer staff"}
SHOPPER = {"Authorization": "Bearer shopper"}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>'
MUG = {"name": "Moss mug", "category": "Kitchen/Mugs", "price": 1450, "description": "Green.", "image": "mug"}


class Tokens:
    """Two tokens: ``staff`` and ``shopper``."""

    def known(self, token: str) -> Principal | None:
        roles = {"staff": frozenset({"staff"}), "shopper": frozenset[str]()}
        return Principal("user", token, roles[token], "s") if token in roles else None

    async def verify(self, token: str) -> Principal:
        raise Problem("invalid_token", "no")


@asynccontextmanager
async def catalog_in(url: str) -> AsyncIterator[Catalog]:
    made = Catalog(url, clock=lambda: 1_750_000_000_000)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def asking(catalog: Catalog, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """`headers`: sent with every request."""
    transport = httpx.ASGITransport(app=Front(FastAPI(), [catalog_routes(catalog)], tokens=Tokens()))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as made:
        yield made
