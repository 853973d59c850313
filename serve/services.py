"""One builder a service: its routes from the shop's settings and ports. A process serves those that it was told to."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter

from actors.order import OrderView
from serve.carts.admin_api import admin_cart_routes
from serve.carts.api import cart_routes
from serve.carts.kept import KeptCarts
from serve.carts.service import Carts
from serve.catalog.api import catalog_routes
from serve.catalog.search.api import search_routes
from serve.changes.recording import Look
from serve.gateway.lean import Routes
from serve.gateway.rate_limits import Limit
from serve.notifications.api import notification_routes
from serve.notifications.news_api import admin_suppression_routes, ses_routes
from serve.notifications.ses_news import SesNews
from serve.notifications.sns import SnsTopic
from serve.orders.admin_api import admin_order_routes
from serve.orders.api import order_routes
from serve.orders.carriers import Carriers, carrier_routes
from serve.orders.checkout import Checkout, Deadlines
from serve.orders.reports import report_routes
from serve.orders.service import Orders
from serve.orders.stock import Stock
from serve.orders.waiters import Waiters
from serve.payments.admin_api import admin_payment_routes
from serve.payments.api import payment_routes, stripe_routes
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.pages import page_routes
from serve.payments.service import Payments
from serve.payments.stripe.choosing import has_hosted_page
from serve.payments.stripe.gateway import StripeGateway
from serve.payments.stripe.news import StripeNews
from serve.users.api import STRICT_LIMITS, router
from serve.users.link_pages import link_pages
from serve.users.links import LinksStore
from serve.users.social.api import SOCIAL_LIMITS, social_routes

if TYPE_CHECKING:
    from serve.composing import Shop


class Served(NamedTuple):
    """What a service answers.

    `strict`: operations of its routers that may be tried less often than the rest. `looks`: what is recorded of the
    things that its staff routes change, without personal data; see `serve.changes.recording`.
    """

    routes: Sequence[Routes] = ()
    routers: Sequence[APIRouter] = ()
    strict: dict[tuple[str, str], Limit] = {}
    looks: dict[str, Look] = {}


def users(shop: "Shop") -> Served:
    settings = shop.settings
    social = social_routes(shop.social, settings.url, settings.social_return_url)
    pages = link_pages(shop.accounts, LinksStore(shop.users_engine))
    routers = [router(shop.accounts, shop.sessions, shop.keys), social, pages]
    return Served(routers=routers, strict={**STRICT_LIMITS, **SOCIAL_LIMITS})


def catalog(shop: "Shop") -> Served:
    looks: dict[str, Look] = {"/api/admin/products": shop.catalog.product_of_sku}
    search = search_routes(shop.search, shop.settings.currency)
    return Served([catalog_routes(shop.catalog), search], looks=looks)


def _carts_of(shop: "Shop") -> Carts:
    kept = None if shop.redis is None else KeptCarts(shop.redis)
    return Carts(shop.entities, shop.prices, shop.terms, shop.tokens, shop.seen, kept)


def carts(shop: "Shop") -> Served:
    made = _carts_of(shop)
    return Served([cart_routes(made), admin_cart_routes(made)])


def orders(shop: "Shop") -> Served:
    settings = shop.settings
    waiters, streams = Waiters(settings.max_waiters), Waiters(settings.max_waiters)
    checkout = Checkout(
        shop.entities,
        shop.orders_store,
        shop.prices,
        shop.terms,
        shop.seen,
        waiters,
        _carts_of(shop).read,
        deadlines=Deadlines(settings.checkout_wait_seconds, settings.payment_deadline_seconds * 1000),
        hosted=has_hosted_page(settings),
        capture_method=settings.payment_capture,
    )
    made = Orders(
        shop.entities,
        shop.orders_store,
        waiters,
        currency=settings.currency,
        wait=settings.checkout_wait_seconds,
        seller=shop.seller,
        hosted=has_hosted_page(settings),
    )
    stock = Stock(shop.entities, shop.prices)
    given = settings.carrier_secret
    carriers = Carriers(shop.entities, shop.orders_store, [given.get_secret_value()] if given else [])

    async def order(order_id: str) -> dict[str, str] | None:
        view, version, _ = await shop.entities.read("order", order_id)
        if version == 0 or not isinstance(view, OrderView):
            return None
        return {"status": view.status, "payment_status": view.payment_status}

    looks: dict[str, Look] = {"/api/admin/orders": order, "/api/admin/stock": stock.read}
    own = order_routes(checkout, made, shop.entities, streams, shop.settings.language)
    routes = [own, admin_order_routes(made, stock), report_routes(shop.orders_store), carrier_routes(carriers)]
    return Served(routes, looks=looks)


def payments(shop: "Shop") -> Served:
    given = shop.settings.webhook_secret
    secrets = [given.get_secret_value()] if given else []
    made = Payments(shop.entities, secrets)
    at_stripe = shop.gateway if isinstance(shop.gateway, StripeGateway) else None
    signers = shop.settings.stripe_signers
    news = StripeNews(shop.entities, at_stripe, shop.inbox if signers else None, signers)
    routes = [payment_routes(made), stripe_routes(news), admin_payment_routes(shop.transactions)]
    if isinstance(shop.gateway, GatewayClient):
        routes.append(page_routes(shop.gateway))
    return Served(routes)


def notifications(shop: "Shop") -> Served:
    topic = SnsTopic(shop.settings.mail_topic) if shop.settings.mail_topic else None
    suppressions = shop.notices.suppressions
    own = notification_routes(shop.notices, Waiters(shop.settings.max_waiters))
    return Served([own, ses_routes(SesNews(suppressions, topic)), admin_suppression_routes(suppressions)])


BUILDERS: dict[str, Callable[["Shop"], Served]] = {
    "users": users,
    "catalog": catalog,
    "carts": carts,
    "orders": orders,
    "payments": payments,
    "notifications": notifications,
}
