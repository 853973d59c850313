"""The Serve application: one replica class that builds the front of the shop."""

from ray import serve
from ray.serve.schema import LoggingConfig

from actors.kinds import KINDS
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.furnishing import hosts_of
from actors.runtime.in_process import NearWay, all_shards
from actors.runtime.on_ray.way import NAMESPACE, RayWay
from actors.runtime.region import Region
from actors.runtime.status import status
from actors.runtime.tasks import Tasks
from serve.composing import Shop, front_of
from serve.gateway.front import Front
from serve.hosting import FIRST_HOST, ShopHost
from serve.hosts import HostBody, body, host_routes, look_at, names
from serve.journals import open_journals
from serve.mailing import Mailing
from serve.measures import Hosts
from serve.opened import Opened
from serve.payments.gateway.actor import gateway_client
from serve.payments.gateway.base import PaymentGateway
from serve.payments.stripe.choosing import stripe_of
from serve.settings import Settings
from serve.shop_measures import of_shop
from serve.starting import gateway

REQUESTS_AT_ONCE = 10_000
GRACE_SECONDS = 3.0


def build_front(settings: Settings) -> Front:
    """For a replica whose entities live in host actors."""
    tasks = Tasks()
    clock, entropy = SystemClock(), SystemEntropy()
    way = RayWay(tasks)
    region = Region(KINDS, way, clock, entropy, settings.shards)
    shop = Shop(settings, region, _gateway_of(settings))
    return front_of(shop, way.start, tasks.close, of_shop(settings, Hosts(names, look_at)), (host_routes(),))


def build_services(settings: Settings) -> Front:
    """For a replica of some services without entities: nothing of Ray's is called but the gateway, if it is theirs."""
    client = _gateway_of(settings) if "payments" in settings.services else None

    async def nothing() -> None:
        pass

    return front_of(Shop(settings, None, client), nothing, nothing)


def build_whole(settings: Settings) -> Front:
    """For the one replica that runs its entities itself: no calls between processes, but one core is the limit."""
    clock, entropy = SystemClock(), SystemEntropy()
    near = NearWay()
    region = Region(KINDS, near, clock, entropy, settings.shards)
    shop = Shop(settings, region, _gateway_of(settings))
    opened = Opened()

    async def start() -> None:
        journals = await open_journals(settings)
        for kept in journals.kept:
            opened.closing(kept.journal)
        inner = ShopHost(settings, journals, _gateway_of(settings), flows=True)
        if inner.publisher is not None:
            opened.closing(inner.publisher)
        for host in hosts_of(FIRST_HOST, inner, clock, entropy, region.post):
            opened.push_async_callback(host.stop)
            await host.start()
            near.hosts.append(host)
            await host.own(all_shards(host.kinds, settings.shards))
        opened.push_async_callback(inner.stop)
        await inner.start(region, lambda: all(host.has_everything() for host in near.hosts))
        mailing = Mailing(settings, journals.sql)
        opened.push_async_callback(mailing.stop)
        await mailing.start(region)

    async def here() -> list[str]:
        return [FIRST_HOST]

    async def look(name: str) -> HostBody:
        return body(status(near.hosts))

    return front_of(shop, start, opened.aclose, of_shop(settings, Hosts(here, look)))


def _gateway_of(settings: Settings) -> PaymentGateway:
    return stripe_of(settings) or gateway_client(gateway(settings, NAMESPACE))


class Replica:
    """`packed`: the settings, secrets too; they travel as an argument, not in an environment that tools show."""

    def __init__(self, packed: dict[str, str]) -> None:
        self._packed = packed

    def __serve_build_asgi_app__(self) -> Front:
        settings = Settings.unpacked(self._packed)
        if "entities" not in settings.services:
            return build_services(settings)
        return build_whole(settings) if settings.hosts == 0 else build_front(settings)


def deploy(settings: Settings, name: str, replicas: int = 1) -> None:
    """Deploys the shop and waits until it is there. `replicas`: on as many machines of Ray's, one on each at most."""
    deployment = serve.deployment(serve.ingress()(Replica)).options(
        name="replica",
        num_replicas=replicas,
        max_replicas_per_node=1 if replicas > 1 else None,
        max_ongoing_requests=REQUESTS_AT_ONCE,
        ray_actor_options={"num_cpus": 0},
        # What was accepted is answered: the longest that an answer may take is a checkout's.
        graceful_shutdown_timeout_s=settings.checkout_wait_seconds + GRACE_SECONDS,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
    )
    serve.run(deployment.bind(settings.packed()), name=name, route_prefix="/")
