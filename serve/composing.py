"""What answers HTTP: the settings become adapters, services and one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from actors.pricing import Shipping
from actors.runtime.ports import Entities
from serve.carts.admin_api import admin_cart_routes
from serve.carts.api import cart_routes
from serve.carts.seen import SeenSkus
from serve.carts.service import Carts
from serve.carts.terms import ShopTerms
from serve.catalog.api import catalog_routes
from serve.catalog.prices import Prices
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.api import search_routes
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.synonyms import Synonyms
from serve.catalog.service import Catalog
from serve.gateway import logs, telemetry
from serve.gateway.front import Front, Limits
from serve.gateway.keys import Keys
from serve.gateway.lean import Routes
from serve.gateway.passwords import Passwords
from serve.gateway.rate_limits import Addresses, InProcessLimits, Limit
from serve.gateway.tokens import Tokens
from serve.mailing import notifications_of
from serve.notifications.api import notification_routes
from serve.orders.admin_api import admin_order_routes
from serve.orders.api import order_routes
from serve.orders.service import Deadlines, Orders
from serve.orders.stock import Stock
from serve.orders.store import OrderStore
from serve.orders.waiters import Waiters
from serve.payments.api import payment_routes
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.pages import page_routes
from serve.payments.service import Payments
from serve.settings import Settings
from serve.users.api import STRICT_LIMITS, router
from serve.users.service import Users
from serve.users.store import Store as UserStore
from serve.users.store import open_engine

Lifetime = Callable[[], Awaitable[None]]


class Shop:
    """The services of one process, over one way to the entities."""

    def __init__(self, settings: Settings, entities: Entities, gateway: GatewayClient) -> None:
        self.settings = settings
        self.entities = entities
        self.gateway = gateway
        self._engine = open_engine(settings.database("users"))
        self.keys = Keys(self._engine)
        self.tokens = Tokens(self.keys, access_seconds=settings.access_token_seconds, guest_days=settings.guest_days)
        self._passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)
        self.limiter = InProcessLimits()
        self.users = Users(
            self._engine, self.tokens, self._passwords, refresh_days=settings.refresh_days, limits=self.limiter
        )
        self.catalog = Catalog(f"sqlite:///{settings.database('catalog')}", currency=settings.currency)
        analysis = Analysis(settings.language)
        self.search = EmbeddedSearch(settings.search_dir, analysis, Synonyms(settings.search_synonyms, analysis))
        self.orders_store = OrderStore(f"sqlite:///{settings.database('orders')}")

    def routes(self) -> list[Routes]:
        settings, entities = self.settings, self.entities
        prices, seen, terms = Prices(self.catalog), SeenSkus(), terms_of(settings)
        waiters, streams = Waiters(settings.max_waiters), Waiters(settings.max_waiters)
        deadlines = Deadlines(settings.checkout_wait_seconds, settings.payment_deadline_seconds * 1000)
        orders = Orders(entities, self.orders_store, prices, terms, seen, waiters, deadlines=deadlines)
        carts = Carts(entities, prices, terms, self.tokens, seen)
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        return [
            cart_routes(carts),
            admin_cart_routes(carts),
            order_routes(orders, entities, streams),
            admin_order_routes(orders, Stock(entities, prices)),
            catalog_routes(self.catalog),
            search_routes(self.search, settings.currency),
            payment_routes(Payments(entities, [secret] if secret else [])),
            page_routes(self.gateway),
            notification_routes(notifications_of(settings, self.orders_store, UserStore(self._engine))),
        ]

    async def ready(self) -> dict[str, str]:
        """Looks at what a checkout needs."""
        parts = {}
        looks: dict[str, Awaitable[object]] = {
            "entities": self.entities.read("stock", "-ready-", seconds=3.0),
            "catalog": self.catalog.categories(),
            "orders": self.orders_store.ready(),
        }
        for name, look in looks.items():
            try:
                await look
                parts[name] = "ok"
            except Exception as error:
                parts[name] = f"{type(error).__name__}"
        return parts

    async def close(self) -> None:
        await self.gateway.close()
        await self.orders_store.close()
        await self.catalog.close()
        await self.search.close()
        await asyncio.to_thread(self._engine.dispose)


def terms_of(settings: Settings) -> ShopTerms:
    ways = tuple(Shipping(way.method, way.label, way.price, way.free_from) for way in settings.shipping)
    return ShopTerms(settings.currency, settings.tax_rate_bp, settings.prices_include_tax, ways)


def front_of(shop: Shop, start: Lifetime, stop: Lifetime, more: tuple[Routes, ...] = ()) -> Front:
    """The whole application, for a replica of Ray Serve; `start` and `stop` bracket its life."""
    settings = shop.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logs.configure(settings.log_level)
        telemetry.start(settings.otlp_endpoint)
        await start()
        yield
        await stop()
        await shop.close()
        telemetry.stop()

    app = FastAPI(title="Troupe", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(shop.users, shop.keys))
    limits = None
    if settings.rate_limits:
        default = Limit("default", settings.rate_per_minute, settings.rate_burst)
        limits = Limits(shop.limiter, default, STRICT_LIMITS)
    return Front(
        app,
        [*shop.routes(), *more],
        tokens=shop.tokens,
        limits=limits,
        addresses=Addresses(settings.trusted_proxies),
        ready=shop.ready,
        metrics=settings.metrics,
        behind_serve=True,
    )
