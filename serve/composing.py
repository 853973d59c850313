"""What answers HTTP: the settings become adapters, services and one ASGI application."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import Engine, text

from actors.pricing import Shipping
from actors.runtime.ports import Entities
from serve.carts.seen import SeenSkus
from serve.carts.terms import ShopTerms
from serve.catalog.prices import Prices
from serve.catalog.search.base import ProductSearch
from serve.catalog.search.choosing import search_of
from serve.catalog.service import Catalog
from serve.changes.api import change_routes
from serve.changes.recording import Recording
from serve.changes.store import ChangeStore
from serve.event_logs import catalog_log
from serve.gateway import logs, telemetry
from serve.gateway.browsers import Browsers
from serve.gateway.call import Bounds
from serve.gateway.front import Front, nothing_more
from serve.gateway.health import Health, Port, health_of
from serve.gateway.lean import Routes
from serve.gateway.limiting import Limits
from serve.gateway.passwords import Passwords
from serve.gateway.rate_limits import Addresses, InProcessLimits, Limit
from serve.gateway.shared_limits import RedisLimits
from serve.gateway.tokens import Tokens
from serve.kept_secrets import keys_of
from serve.lacking import NoEntities, no_gateway
from serve.mailing import notices_of
from serve.measures import Measures
from serve.notifications.notices import Notices
from serve.opened import Opened
from serve.orders.schemas import Seller
from serve.orders.store import OrderStore
from serve.paths import service_of
from serve.payments.gateway.base import GatewayUnavailable, PaymentGateway
from serve.payments.inbox import Inbox
from serve.payments.stripe.gateway import StripeGateway
from serve.payments.transactions import TransactionStore
from serve.processes import is_closing
from serve.redis_server import RedisServer
from serve.services import BUILDERS, Served
from serve.settings import Settings
from serve.users.accounts import Accounts
from serve.users.ended_sessions import PolledEndedSessions
from serve.users.sessions import Lifetimes, Sessions
from serve.users.shared_ended_sessions import SharedEndedSessions
from serve.users.social.api import PREFIX
from serve.users.social.configuring import parse
from serve.users.social.providers import provider_of
from serve.users.social.service import Social
from serve.users.store import open_engine

EXPORTED = 10_000
"""Orders and notices in the export of an account: the newest ones."""
Lifetime = Callable[[], Awaitable[None]]

READY_SECONDS = 3.0
NOT_HERE = "does not run here"


class Shop:
    """What the services of one process stand on; `settings.services` says which those are.

    Databases are opened by the first that needs them. Where there are no entities (no hosts) or no gateway, what
    needs them answers `service_unavailable`.
    """

    def __init__(
        self, settings: Settings, entities: Entities | None = None, gateway: PaymentGateway | None = None
    ) -> None:
        self.settings = settings
        self.entities: Entities = entities or NoEntities()
        self._opened = Opened()
        self.gateway: PaymentGateway = self._opened.closing(gateway or no_gateway())
        self.users_engine = open_engine(settings.database_url("users"))
        self._opened.push_async_callback(asyncio.to_thread, self.users_engine.dispose)
        self.keys = keys_of(settings, self.users_engine)
        self.redis = None if settings.redis_address is None else RedisServer(settings.redis_address)
        if self.redis is not None:
            self._opened.closing(self.redis)
        self.ended = (
            PolledEndedSessions(self.users_engine)
            if self.redis is None
            else SharedEndedSessions(self.users_engine, self.redis)
        )
        self._opened.push_async_callback(self.ended.stop)
        self.tokens = Tokens(
            self.keys,
            access_seconds=settings.access_token_seconds,
            guest_days=settings.guest_days,
            ended=self.ended,
        )
        self._passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)
        self.limiter = InProcessLimits() if self.redis is None else RedisLimits(self.redis)
        self.accounts = Accounts(
            self.users_engine,
            self._passwords,
            reset_seconds=settings.password_reset_seconds,
            limits=self.limiter,
            others={"orders": self._orders_of, "notices": self._notices_of},
        )
        self.sessions = Sessions(
            self.users_engine,
            self.tokens,
            self._passwords,
            lifetimes=Lifetimes(settings.session_days, settings.session_long_days, settings.session_most_days),
            ended=self.ended,
        )
        self.seen = SeenSkus()
        self.terms = terms_of(settings)
        self.seller = seller_of(settings)

    @cached_property
    def social(self) -> Social:
        settings = self.settings
        given = parse(settings.social.get_secret_value()) if settings.social else []
        providers = [provider_of(one, f"{settings.url}{PREFIX}/{one.name}/callback") for one in given]
        return Social(self.users_engine, self.sessions, self.tokens, providers)

    @cached_property
    def notices(self) -> Notices:
        return self._opened.closing(notices_of(self.settings))

    async def _orders_of(self, user_id: str) -> list[str]:
        return [row.id for row in await self.orders_store.page(owner=f"user:{user_id}", after=None, limit=EXPORTED)]

    async def _notices_of(self, user_id: str) -> list[dict[str, object]]:
        found, _ = await self.notices.page(f"user:{user_id}", None, False, EXPORTED)
        return [one._asdict() for one in found]

    @cached_property
    def catalog(self) -> Catalog:
        return self._opened.closing(Catalog(self.settings.database_url("catalog"), currency=self.settings.currency))

    @cached_property
    def search(self) -> ProductSearch:
        return self._opened.closing(search_of(self.settings))

    @cached_property
    def prices(self) -> Prices:
        events = catalog_log(self.settings)
        if events is not None:
            self._opened.closing(events)
        return self._opened.closing(Prices(self.catalog, events))

    @cached_property
    def orders_store(self) -> OrderStore:
        return self._opened.closing(OrderStore(self.settings.database_url("orders")))

    @cached_property
    def transactions(self) -> TransactionStore:
        return self._opened.closing(TransactionStore(self.settings.database_url("payments")))

    @cached_property
    def inbox(self) -> Inbox:
        return self._opened.closing(Inbox(self.settings.database_url("webhooks")))

    @cached_property
    def changes(self) -> ChangeStore:
        return self._opened.closing(ChangeStore(self.settings.database_url("audit")))

    def served(self) -> list[Served]:
        """What each of the chosen services answers."""
        return [BUILDERS[name](self) for name in self.settings.services if name in BUILDERS]

    def ports(self) -> dict[str, Port]:
        """What is looked at to say whether the shop is ready, by the service that it belongs to."""
        return {
            "entities": Port(lambda: self.entities.read("stock", "-ready-", seconds=READY_SECONDS)),
            "catalog": Port(lambda: self.catalog.categories()),
            "orders": Port(lambda: self.orders_store.ready()),
            "users": Port(lambda: asyncio.to_thread(_answers, self.users_engine)),
            "payments": self._payments_port(),
            "notifications": Port(self._notices_answer, needed=False),
        }

    async def _notices_answer(self) -> None:
        """Whether mails go out, the process that sends them says; without a server the folder does."""
        if self.settings.mail_url is None:
            await asyncio.to_thread(_takes_files, self.settings.mails)
        await self.notices.unread("-ready-")

    def _payments_port(self) -> Port:
        """Without Stripe whoever pays at the door still buys; and asking it would use up what it allows us."""
        gateway = self.gateway
        if not isinstance(gateway, StripeGateway):
            return Port(lambda: gateway.look_up("-ready-", seconds=READY_SECONDS))

        async def look() -> None:
            if not gateway.up:
                raise GatewayUnavailable("Stripe is away")

        return Port(look, needed=False)

    async def ready(self) -> Health:
        """What does not run here is named, and counts nothing. A shop that is about to close is not ready."""
        if await asyncio.to_thread(is_closing, self.settings.data_dir):
            return Health(False, {"shop": "closing"})
        ports = self.ports()
        here = {str(name): port for name, port in ports.items() if name in self.settings.services}
        found = await health_of(here, READY_SECONDS)
        return Health(found.ready, {**dict.fromkeys(ports, NOT_HERE), **found.parts})

    async def close(self) -> None:
        """Everything that was opened is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()


def _answers(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _takes_files(folder: Path) -> None:
    """Raises OSError when mails cannot be written there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} cannot be written to")


def seller_of(settings: Settings) -> Seller:
    lines = [line.strip() for line in settings.seller_postal_address.split("|")]
    return Seller(settings.seller_name, [line for line in lines if line], settings.seller_tax_id)


def terms_of(settings: Settings) -> ShopTerms:
    ways = tuple(Shipping(way.method, way.label, way.price, way.free_from) for way in settings.shipping)
    return ShopTerms(settings.currency, settings.tax_rate_bp, settings.prices_include_tax, ways)


def front_of(
    shop: Shop,
    start: Lifetime,
    stop: Lifetime,
    measures: Measures | None = None,
    more: tuple[Routes, ...] = (),
) -> Front:
    """The application of the chosen services, for a replica of Ray Serve; `start` and `stop` bracket its life.

    `stop` is called after a `start` that failed, too.

    `measures`: what /metrics tells of other processes, if there are any.
    """
    settings = shop.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logs.configure(settings.log_level)
        async with Opened() as opened:
            telemetry.start(settings.otlp_endpoint)
            opened.callback(telemetry.stop)
            opened.push_async_callback(shop.close)
            await shop.ended.start()
            opened.push_async_callback(stop)
            await start()
            if {"carts", "orders"}.intersection(settings.services):
                await shop.prices.start()
            if measures is not None:
                opened.closing(measures)
            yield

    app = FastAPI(title="Troupe", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    served = shop.served()
    for one in served:
        for router in one.routers:
            app.include_router(router)
    limits = None
    if settings.rate_limits:
        default = Limit("default", settings.rate_per_minute, settings.rate_burst)
        strict = {key: limit for one in served for key, limit in one.strict.items()}
        limits = Limits(shop.limiter, default, strict, settings.rate_address_factor)
    return Front(
        app,
        [*(routes for one in served for routes in one.routes), change_routes(shop.changes), *more],
        tokens=shop.tokens,
        limits=limits,
        bounds=Bounds(
            settings.max_body_bytes,
            Browsers(settings.cors_origins, only_tls=settings.url.startswith("https://")),
        ),
        addresses=Addresses(settings.trusted_proxies),
        ready=shop.ready,
        metrics=settings.metrics,
        measured=measures or nothing_more,
        behind_serve=True,
        staff_log=Recording(shop.changes, {start: look for one in served for start, look in one.looks.items()}),
        elsewhere=lambda path: _absent(settings, path),
        ended=shop.ended,
    )


def _absent(settings: Settings, path: str) -> str | None:
    """The service that a path belongs to, if it does not run in this process."""
    service = service_of(path)
    return None if service in settings.services else service
