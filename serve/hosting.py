"""What the shop puts into its hosts: kinds, journal, the gateway, and the flows beside the first host."""

from collections.abc import Callable, Mapping, Sequence

from actors.runtime.furnishing import Kept
from actors.runtime.limits import Limits
from actors.runtime.ports import EffectRunner, Entities, Publisher
from actors.runtime.wire import Record
from pipelines.list_orders import list_orders
from pipelines.log.base import EventLog
from pipelines.log.sql import JournalLog, Tail
from pipelines.open_payments import open_payments
from pipelines.progress import SqlProgress
from pipelines.report_sales import report_sales
from pipelines.settle_orders import settle_orders
from pipelines.show_availability import show_availability
from serve.catalog.service import Catalog
from serve.event_logs import logs_of, publisher_of
from serve.gateway import logs, telemetry
from serve.journals import Journals, open_journals
from serve.opened import Opened
from serve.orders.store import OrderStore
from serve.payments.effects import GATEWAY_SECONDS, PaymentEffects
from serve.payments.gateway.base import PaymentGateway
from serve.payments.stripe.choosing import STRIPE_SECONDS, stripe_of
from serve.settings import Settings

FIRST_HOST = "host-0"


def host_names(settings: Settings) -> list[str]:
    return [f"host-{n}" for n in range(max(settings.hosts, 1))]


def limits_of(settings: Settings) -> Limits:
    return Limits(shards=settings.shards, mailbox=settings.mailbox)


class Flows:
    """The flows that everything waits for. Over the journal they run where most of the events are written."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = Opened()

    async def start(self, entities: Entities, journal: EventLog | None) -> None:
        """`journal`: the event log, unless there is Kafka. A start that fails leaves nothing open."""
        settings = self._settings
        async with Opened() as opened:
            progress = opened.closing(SqlProgress(settings.database_url("flows")))
            catalog = opened.closing(Catalog(settings.database_url("catalog"), currency=settings.currency))
            orders = opened.closing(OrderStore(settings.database_url("orders")))
            events = logs_of(settings, opened, progress, journal)
            await opened.running(events.run(open_payments(entities)))
            await opened.running(events.run(settle_orders(entities)))
            await opened.running(events.run(list_orders(orders)))
            await opened.running(events.run(report_sales(orders)))
            await opened.running(events.run(show_availability(catalog)))
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Everything is closed, whatever fails; raises what failed last."""
        await self._opened.aclose()


class ShopHost:
    """See `Furnishing`. `flows`: whether they run beside this host."""

    def __init__(self, settings: Settings, journals: Journals, gateway: PaymentGateway, flows: bool) -> None:
        self.kept: Sequence[Kept] = journals.kept
        self.limits = limits_of(settings)
        self.runners: Mapping[str, EffectRunner] = {
            "payment": PaymentEffects(
                gateway,
                f"{settings.url}/api/payments/{{id}}/return",
                seconds=GATEWAY_SECONDS if settings.stripe_secret_key is None else STRIPE_SECONDS,
            )
        }
        self.publisher: Publisher | None = publisher_of(settings)
        self._gateway = gateway
        self._journal = journals.sql
        self._tail = Tail()
        self._flows = Flows(settings) if flows else None

    def wrote(self, position: int, record: Record) -> None:
        if self._flows is not None and self.publisher is None:
            self._tail.append(position, record)

    async def start(self, entities: Entities, alone: Callable[[], bool]) -> None:
        """`alone`: whether this host has every shard, so that nobody else can write into the journal."""
        if self._flows is not None:
            journal = JournalLog(self._journal, self._tail, alone) if self.publisher is None else None
            await self._flows.start(entities, journal)

    async def stop(self) -> None:
        """As `Flows.stop`."""
        async with Opened() as opened:
            opened.closing(self._gateway)
            if self._flows is not None:
                await self._flows.stop()


async def furnish(name: str, packed: Mapping[str, str]) -> ShopHost:
    """For a host actor; see `HostActor`."""
    from actors.runtime.on_ray.way import NAMESPACE
    from serve.payments.gateway.actor import gateway_client
    from serve.starting import gateway

    settings = Settings.unpacked(packed)
    logs.configure(settings.log_level)
    telemetry.start(settings.otlp_endpoint, f"troupe-{name}")
    client = stripe_of(settings) or gateway_client(gateway(settings, NAMESPACE))
    # Over Kafka they have processes of their own.
    flows = name == FIRST_HOST and not settings.kafka_servers
    return ShopHost(settings, await open_journals(settings), client, flows)
